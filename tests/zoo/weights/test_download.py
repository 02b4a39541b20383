from __future__ import annotations

import dataclasses
import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.zoo.weights.file_server import FileServer, cut_after, redirect, stall_after, status, whole
from zoo.errors import ArgumentError, ChecksumError, DownloadError
from zoo.spec import FileRef
from zoo.weights.cache import CacheEntry
from zoo.weights.download import CachedFile, fetch, fetch_optional
from zoo.weights.settings import DownloadSettings

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


def ref(*urls: str, name: str = "model.h5", **promised: object) -> FileRef:
    return FileRef(file_name=name, urls=urls, **promised)  # type: ignore[arg-type]


def served(server: FileServer, path: str = "/model.h5", content: bytes = CONTENT) -> str:
    server.files[path] = content
    return server.url(path)


def check(found: CachedFile | None) -> None:
    assert found is not None
    assert found.entry.path.read_bytes() == CONTENT
    assert found.sha256 == SHA256
    assert not found.entry.partial.exists()


def test_a_file_is_fetched_once(server: FileServer, settings: DownloadSettings) -> None:
    """The second call reads the cache and asks nobody."""
    file = ref(served(server), sha256=SHA256, size_bytes=len(CONTENT))
    check(fetch(file, settings))
    check(fetch(file, settings))
    assert len(server.requests) == 1


def test_progress_ends_at_the_whole_size(server: FileServer, settings: DownloadSettings) -> None:
    """The hook hears bytes so far and in all, never going back within one answer."""
    heard: list[tuple[int, int | None]] = []
    fetch(ref(served(server), sha256=SHA256), settings, progress=lambda done, total: heard.append((done, total)))
    assert heard[0] == (0, len(CONTENT))
    assert heard[-1] == (len(CONTENT), len(CONTENT))
    assert heard == sorted(heard)


def test_a_damaged_cached_file_is_fetched_again(server: FileServer, settings: DownloadSettings) -> None:
    """The content is checked at every use, not only after the download."""
    file = ref(served(server), sha256=SHA256)
    fetch(file, settings).entry.path.write_bytes(b"rotten")
    check(fetch(file, settings))
    assert len(server.requests) == 2


def test_wrong_content_never_enters_the_cache(server: FileServer, settings: DownloadSettings) -> None:
    """A file with another hash is thrown away, and the error has both hashes and the place for the right one."""
    file = ref(served(server, content=b"not it"), sha256=SHA256)
    with pytest.raises(ChecksumError, match="is not the promised content") as caught:
        fetch(file, settings)
    entry = CacheEntry.of(file, settings.cache_root)
    for part in (hashlib.sha256(b"not it").hexdigest(), SHA256, str(entry.path), server.url("/model.h5")):
        assert part in str(caught.value)
    assert not entry.path.exists()
    assert not entry.partial.exists()


def test_md5_is_checked_and_sha256_pinned(server: FileServer, settings: DownloadSettings) -> None:
    """Where only an md5 is promised, the sha256 of the first download is kept and checked ever after."""
    file = ref(served(server), md5=MD5)
    found = fetch(file, settings)
    check(found)
    assert found.entry.pin.read_text().split()[0] == SHA256
    with pytest.raises(ChecksumError, match="its md5 is"):
        fetch(ref(served(server, "/bad.h5", b"bad"), md5="0" * 32), settings)


def test_changed_content_of_an_unpinned_address_is_refused(server: FileServer, settings: DownloadSettings) -> None:
    """When an address serves something else than the first time, the user decides, not the host."""
    file = ref(served(server))
    found = fetch(file, settings)
    check(found)
    found.entry.path.unlink()
    served(server, content=b"something else")
    with pytest.raises(ChecksumError, match="at the first download it was") as caught:
        fetch(file, settings)
    assert f"delete {found.entry.folder}" in str(caught.value)


def test_a_cut_transfer_goes_on_where_it_was(server: FileServer, settings: DownloadSettings) -> None:
    """After a break in the middle only the rest is asked for, and the whole is right."""
    url = served(server)
    server.scripts["/model.h5"] = [cut_after(300_000), cut_after(200_000)]
    check(fetch(ref(url, sha256=SHA256), settings))
    first, second, third = server.asked("/model.h5")
    assert "range" not in first
    begun = int(second["range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < begun <= 300_000
    assert int(third["range"].removeprefix("bytes=").removesuffix("-")) > begun


def test_many_cuts_are_no_failure_while_there_is_progress(server: FileServer, settings: DownloadSettings) -> None:
    """Attempts are counted only while they bring nothing."""
    url = served(server)
    server.scripts["/model.h5"] = [cut_after(100_000)] * 8
    check(fetch(ref(url, sha256=SHA256), dataclasses.replace(settings, attempts=2)))


def test_without_promise_or_etag_a_cut_transfer_starts_anew(server: FileServer, settings: DownloadSettings) -> None:
    """Parts of what may be two different files are never put together."""
    server.etags = False
    url = served(server)
    server.scripts["/model.h5"] = [cut_after(300_000)]
    check(fetch(ref(url), settings))
    assert all("range" not in headers for headers in server.asked("/model.h5"))


def test_a_file_that_changed_between_two_parts_starts_anew(server: FileServer, settings: DownloadSettings) -> None:
    """With an ETag the host itself tells that the file is another one now, and the old part is dropped."""
    url = served(server, content=b"x" * 500_000)
    server.scripts["/model.h5"] = [cut_after(200_000), status(503), lambda handler, content: replace(handler)]

    def replace(handler: object) -> None:
        server.files["/model.h5"] = CONTENT
        whole(handler, CONTENT)  # type: ignore[arg-type]

    check(fetch(ref(url), settings))
    assert server.asked("/model.h5")[2]["if-range"]


def test_a_host_without_ranges_sends_everything(server: FileServer, settings: DownloadSettings) -> None:
    """An answer of 200 to a request for the rest replaces what was there."""
    server.ranges = False
    url = served(server)
    server.scripts["/model.h5"] = [cut_after(300_000)]
    check(fetch(ref(url, sha256=SHA256), settings))


def test_a_wrong_earlier_part_is_dropped(server: FileServer, settings: DownloadSettings) -> None:
    """If the whole is wrong because of what an earlier attempt left, it is fetched once more from the start."""
    file = ref(served(server), sha256=SHA256)
    entry = CacheEntry.of(file, settings.cache_root)
    entry.folder.mkdir(parents=True)
    entry.partial.write_bytes(b"z" * 1000)
    check(fetch(file, settings))
    assert [headers.get("range") for headers in server.asked("/model.h5")] == ["bytes=1000-", None]


def test_an_earlier_part_longer_than_the_file_is_dropped(server: FileServer, settings: DownloadSettings) -> None:
    """The answer 416 makes the download start anew."""
    file = ref(served(server), sha256=SHA256)
    entry = CacheEntry.of(file, settings.cache_root)
    entry.folder.mkdir(parents=True)
    entry.partial.write_bytes(CONTENT + b"more")
    check(fetch(file, settings))


def test_busy_hosts_are_asked_again(server: FileServer, settings: DownloadSettings) -> None:
    """5xx and 429 are tried again, the latter after the time that the host names."""
    url = served(server)
    server.scripts["/model.h5"] = [status(503), status(500), status(429, Retry_After="0")]
    check(fetch(ref(url, sha256=SHA256), settings))
    assert len(server.requests) == 4


def test_a_silent_host_times_out_and_the_rest_is_asked_for(server: FileServer, settings: DownloadSettings) -> None:
    """Silence in the middle of a transfer is a failed attempt, not a hang."""
    url = served(server)
    release = threading.Event()
    server.scripts["/model.h5"] = [stall_after(100_000, release)]
    check(fetch(ref(url, sha256=SHA256), dataclasses.replace(settings, read_timeout_seconds=0.3)))
    release.set()
    assert "range" in server.asked("/model.h5")[1]


@pytest.mark.parametrize("code", [404, 403, 401, 410, 500])
def test_the_next_mirror_is_tried(code: int, server: FileServer, settings: DownloadSettings) -> None:
    """An address that refuses is left for the next one; only 5xx is asked again first."""
    server.scripts["/first/model.h5"] = [status(code)] * 10
    check(fetch(ref(server.url("/first/model.h5"), served(server), sha256=SHA256), settings))
    assert len(server.asked("/first/model.h5")) == (settings.attempts if code >= 500 else 1)


def test_wrong_content_from_one_mirror_leaves_the_next(server: FileServer, settings: DownloadSettings) -> None:
    """A mirror that serves something else is passed over."""
    check(fetch(ref(served(server, "/bad", b"bad"), served(server), sha256=SHA256), settings))


def test_the_error_lists_what_was_tried_and_where_the_file_goes(server: FileServer,
                                                               settings: DownloadSettings) -> None:
    """Every address stands there with its reason, without secrets, and the place with the expected hash."""
    server.scripts["/private.h5"] = [status(403)]
    file = ref(server.url("/none.h5?token=geheim"), server.url("/private.h5"), "http://127.0.0.1:9/closed.h5",
               sha256=SHA256)
    with pytest.raises(DownloadError) as caught:
        fetch(file, settings)
    message = str(caught.value)
    for part in (f"{server.url('/none.h5')}: HTTP 404", "HTTP 403 Forbidden (the host wants a token",
                 "http://127.0.0.1:9/closed.h5: no connection", f"sha256 {SHA256}", "ZOO_MIRROR",
                 str(CacheEntry.of(file, settings.cache_root).path)):
        assert part in message
    assert "geheim" not in message


def test_the_file_that_the_error_asks_for_is_taken(settings: DownloadSettings) -> None:
    """Offline, the message names a place, and a file put there is used; a wrong one is refused by its hash."""
    settings = dataclasses.replace(settings, offline=True)
    file = ref("http://127.0.0.1:9/model.h5", sha256=SHA256)
    with pytest.raises(DownloadError, match="ZOO_OFFLINE is set") as caught:
        fetch(file, settings)
    place = Path(str(caught.value).partition(" at ")[2].partition(" (sha256")[0])
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    check(fetch(file, settings))
    place.write_bytes(b"another")
    with pytest.raises(ChecksumError, match=r"ZOO_OFFLINE is set, so it was not fetched again"):
        fetch(file, settings)


def test_offline_asks_nobody(server: FileServer, settings: DownloadSettings) -> None:
    """ZOO_OFFLINE means no request at all, not even to a mirror."""
    url = served(server)
    with pytest.raises(DownloadError, match="not in the cache"):
        fetch(ref(url, sha256=SHA256), dataclasses.replace(settings, offline=True, mirror=server.url("/mirror")))
    assert not server.requests


def test_the_mirror_of_the_environment_comes_first(server: FileServer, settings: DownloadSettings) -> None:
    """A copy of a cache behind a web server serves every file without its publisher; a flat folder too."""
    file = ref("http://127.0.0.1:9/model.h5", sha256=SHA256)
    entry = CacheEntry.of(file, settings.cache_root)
    for path in (f"/mirror/{entry.folder.name}/model.h5", "/flat/model.h5"):
        served(server, path)
        mirrored = dataclasses.replace(settings, mirror=server.url(f"/{path.split('/')[1]}"),
                                       cache_root=settings.cache_root / path.split("/")[1])
        check(fetch(file, mirrored))
        assert server.asked(path)


def test_a_flat_mirror_is_no_source_of_unpromised_content(server: FileServer, settings: DownloadSettings) -> None:
    """Two files of one name can be told apart in a flat folder by their hash only."""
    served(server, "/flat/model.h5", b"another model")
    check(fetch(ref(served(server)), dataclasses.replace(settings, mirror=server.url("/flat"))))
    assert not server.asked("/flat/model.h5")


def test_tokens_stay_with_their_host(server: FileServer, settings: DownloadSettings) -> None:
    """A redirect to another host goes there without the token; one to the same host keeps it."""
    url = served(server, "/cdn/model.h5")
    elsewhere = url.replace("127.0.0.1", "localhost")
    server.scripts["/model.h5"] = [redirect("/next")]
    server.scripts["/next"] = [redirect(elsewhere)]
    settings = dataclasses.replace(settings, credentials={f"127.0.0.1:{server.port}": "Bearer secret"})
    check(fetch(ref(server.url("/model.h5"), sha256=SHA256), settings))
    assert server.asked("/model.h5")[0]["authorization"] == "Bearer secret"
    assert server.asked("/next")[0]["authorization"] == "Bearer secret"
    assert "authorization" not in server.asked("/cdn/model.h5")[0]
    assert server.asked("/cdn/model.h5")[0]["host"].startswith("localhost")


def test_redirects_end(server: FileServer, settings: DownloadSettings) -> None:
    """A circle of redirects and one to another kind of address are refused."""
    server.scripts["/round.h5"] = [redirect("/round.h5")] * 20
    server.scripts["/file.h5"] = [redirect("file:///etc/passwd")]
    for path, reason in (("/round.h5", "redirects"), ("/file.h5", "less safe")):
        with pytest.raises(DownloadError, match=reason):
            fetch(ref(server.url(path), name="x.h5", sha256="0" * 64), settings)


def test_a_file_of_the_wrong_size_is_stopped(server: FileServer, settings: DownloadSettings) -> None:
    """Where the size is known, an endless or shorter file is refused before it is stored."""
    file = ref(served(server), sha256=SHA256, size_bytes=1000)
    with pytest.raises(DownloadError, match=f"has {len(CONTENT)} bytes, expected 1000"):
        fetch(file, settings)
    assert not CacheEntry.of(file, settings.cache_root).partial.exists()


def test_a_file_larger_than_the_disk_is_refused(server: FileServer, settings: DownloadSettings) -> None:
    """The room is looked at before the first byte is stored."""
    url = served(server)
    def claims_exabytes(handler: object, content: bytes) -> None:
        handler.send_response(200)  # type: ignore[attr-defined]
        handler.send_header("Content-Length", str(10**18))  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]
        handler.close_connection = True  # type: ignore[attr-defined]

    server.scripts["/model.h5"] = [claims_exabytes]
    with pytest.raises(DownloadError, match=r"does not fit on the disk.*ZOO_CACHE"):
        fetch(ref(url, sha256=SHA256), settings)


def test_files_on_a_mounted_disk_are_copied(tmp_path: Path, settings: DownloadSettings) -> None:
    """A file: address works like any other, and is checked like any other."""
    (tmp_path / "my model.h5").write_bytes(CONTENT)
    url = (tmp_path / "my model.h5").as_uri()
    check(fetch(ref(url, sha256=SHA256), settings))
    with pytest.raises(DownloadError, match="No such file"):
        fetch(ref((tmp_path / "none.h5").as_uri(), name="none.h5"), settings)


def test_optional_files_may_be_absent(server: FileServer, settings: DownloadSettings) -> None:
    """404 from every address means that there is none; any other failure is still a failure."""
    assert fetch_optional(ref(server.url("/none.h5")), settings) is None
    assert fetch_optional(ref(server.url("/none.h5")), dataclasses.replace(settings, offline=True)) is None
    check(fetch_optional(ref(served(server)), settings))
    server.scripts["/private.h5"] = [status(403)]
    with pytest.raises(DownloadError, match="403"):
        fetch_optional(ref(server.url("/private.h5"), name="private.h5"), settings)


def test_a_cache_that_cannot_be_written_is_named(server: FileServer, settings: DownloadSettings) -> None:
    """If the cache's place is taken by a file, the error says where to point it."""
    settings.cache_root.write_text("a file, not a folder")
    with pytest.raises(DownloadError, match=r"could not be stored in .* Point ZOO_CACHE"):
        fetch(ref(served(server), sha256=SHA256), settings)


def test_names_outside_the_cache_are_refused(server: FileServer, settings: DownloadSettings) -> None:
    """A spec cannot make the download write elsewhere."""
    with pytest.raises(ArgumentError, match="plain name"):
        fetch(ref(served(server), name="../model.h5", sha256=SHA256), settings)
    assert not server.requests


def test_downloading_needs_no_tensorflow() -> None:
    """A command that only fetches files starts without the heavy packages."""
    program = ("import sys, zoo.weights.download, zoo.weights.refs, zoo.weights.labels, zoo.weights.report\n"
               "print([name for name in ('tensorflow', 'keras', 'h5py', 'numpy') if name in sys.modules])")
    found = subprocess.run([sys.executable, "-c", program], check=True, text=True, capture_output=True)
    assert found.stdout.strip() == "[]"


# === Several processes ===


def _fetch_in_process(file: FileRef, settings: DownloadSettings) -> None:
    fetch(file, settings)


def _start(file: FileRef, settings: DownloadSettings) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=_fetch_in_process, args=(file, settings))
    process.start()
    return process


def test_two_processes_make_one_download(server: FileServer, settings: DownloadSettings) -> None:
    """Of two processes that want a file at once, one downloads and the other waits and reads it."""
    file = ref(served(server), sha256=SHA256)
    release = threading.Event()
    server.scripts["/model.h5"] = [stall_after(100_000, release)]
    settings = dataclasses.replace(settings, read_timeout_seconds=1.0)
    processes = [_start(file, settings) for _ in range(2)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    release.set()
    check(fetch(file, settings))
    assert sum("range" not in headers for headers in server.asked("/model.h5")) == 1


def test_a_killed_download_leaves_no_whole_file_and_is_resumed(server: FileServer, settings: DownloadSettings) -> None:
    """kill -9 in the middle leaves only the part; the next process asks for the rest and finishes."""
    file = ref(served(server), sha256=SHA256)
    release = threading.Event()
    server.scripts["/model.h5"] = [stall_after(400_000, release)]
    entry = CacheEntry.of(file, settings.cache_root)
    process = _start(file, dataclasses.replace(settings, read_timeout_seconds=60.0))
    deadline = time.monotonic() + 60
    while not (entry.partial.exists() and entry.partial.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    release.set()
    assert not entry.path.exists()
    assert 0 < entry.partial.stat().st_size < len(CONTENT)
    check(fetch(file, settings))
    assert 0 < _part(server) <= 400_000


def _part(server: FileServer) -> int:
    return int(server.asked("/model.h5")[-1]["range"].removeprefix("bytes=").removesuffix("-"))
