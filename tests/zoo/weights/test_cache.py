from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from zoo.errors import ArgumentError
from zoo.spec import FileRef
from zoo.weights.cache import CacheEntry, digests, entry_key


@pytest.mark.parametrize("name", ["../up.h5", "a/b.h5", "/etc/x", "..", "", ".hidden", "a\\b", "a\0b", "x" * 200])
def test_names_that_would_leave_the_cache_are_refused(name: str, tmp_path: Path) -> None:
    """Only a plain file name becomes a path, whatever a spec says."""
    with pytest.raises(ArgumentError, match="plain name"):
        CacheEntry.of(FileRef(file_name=name, urls=("https://host/x",)), tmp_path)


@pytest.mark.parametrize("hashes", [{"sha256": "../../x"}, {"sha256": "A" * 64}, {"md5": "12"}, {}])
def test_a_file_needs_a_sound_hash_or_an_address(hashes: dict[str, str], tmp_path: Path) -> None:
    """A malformed hash never becomes a folder, and a file that nothing identifies has no place."""
    with pytest.raises(ArgumentError, match=r"hexadecimal|neither a hash nor an address"):
        CacheEntry.of(FileRef(file_name="a.h5", urls=(), **hashes), tmp_path)


def test_files_of_one_name_have_places_of_their_own(tmp_path: Path) -> None:
    """The key comes from the content, or from the first address where no content is promised."""
    keys = {entry_key(FileRef(file_name="model.h5", urls=urls, **hashes)) for urls, hashes in [
        (("https://a/model.h5",), {}), (("https://b/model.h5",), {}), ((), {"md5": "0" * 32}),
        ((), {"sha256": "0" * 64}), (("https://a/model.h5",), {"sha256": "1" * 64})]}
    assert len(keys) == 5


def test_digests_are_those_of_the_whole_file(tmp_path: Path) -> None:
    """A file larger than one piece is read to its end."""
    content = os.urandom((1 << 20) + 17)
    (tmp_path / "a").write_bytes(content)
    found = digests(tmp_path / "a", with_md5=True)
    assert digests(tmp_path / "a").sha256 == found.sha256
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.md5 == hashlib.md5(content).hexdigest()


def test_the_note_of_a_first_download_reads_like_sha256sum(tmp_path: Path) -> None:
    """The sidecar has the form "<sha256>  <name>", and later content is compared with it."""
    entry = CacheEntry.of(FileRef(file_name="a.h5", urls=("https://host/a.h5",)), tmp_path)
    entry.folder.mkdir(parents=True)
    entry.path.write_bytes(b"one")
    entry.keep_pin(digests(entry.path))
    assert entry.pin.read_text() == f"{hashlib.sha256(b'one').hexdigest()}  a.h5\n"
    entry.path.write_bytes(b"two")
    assert "at the first download it was" in entry.problem_with(digests(entry.path))
    entry.keep_pin(digests(entry.path))
    assert hashlib.sha256(b"one").hexdigest() in entry.pin.read_text()


def _hold(root: Path, file: FileRef) -> None:
    with CacheEntry.of(file, root).locked():
        (root / "held").touch()
        time.sleep(60)


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """A holder that dies by kill -9 does not block the next one."""
    file = FileRef(file_name="a.h5", urls=("https://host/a.h5",))
    holder = multiprocessing.get_context("spawn").Process(target=_hold, args=(tmp_path, file))
    holder.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / "held").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (tmp_path / "held").exists()
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    holder.close()
    with CacheEntry.of(file, tmp_path).locked():
        assert True is (tmp_path / "held").exists()
