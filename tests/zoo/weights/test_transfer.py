from __future__ import annotations

import dataclasses
import io
import zipfile
from pathlib import Path

import pytest

from tests.zoo.weights.file_server import FileServer, redirect, status
from zoo.spec import FileRef
from zoo.weights.cache import CacheEntry
from zoo.weights.settings import DownloadSettings
from zoo.weights.transfer import TransferFailed, new_client, public_address, transfer


@pytest.mark.parametrize(("url", "shown"), [
    ("https://me:pw@host:8/a/b.h5?key=1#x", "https://host:8/a/b.h5"), ("file:///a/b", "file:///a/b"), ("a b", "a b")])
def test_what_may_be_shown_of_an_address(url: str, shown: str) -> None:
    """Neither password nor query come into a message."""
    assert public_address(url) == shown


def attempt(url: str, settings: DownloadSettings) -> Path:
    entry = CacheEntry.of(FileRef(file_name="a.h5", urls=(url,)), settings.cache_root)
    entry.folder.mkdir(parents=True, exist_ok=True)
    with new_client(settings) as client:
        transfer(url, entry, client, settings)
    return entry.partial


@pytest.mark.parametrize(("code", "again", "absent"), [(404, False, True), (403, False, False), (503, True, False),
                                                       (429, True, False), (204, False, False)])
def test_failures_say_whether_it_is_worth_trying_again(code: int, again: bool, absent: bool, server: FileServer,
                                                       settings: DownloadSettings) -> None:
    """The status decides between another attempt, another address and "there is none"."""
    server.scripts["/a.h5"] = [status(code, Retry_After="3")]
    with pytest.raises(TransferFailed) as caught:
        attempt(server.url("/a.h5"), settings)
    assert (caught.value.again, caught.value.absent, caught.value.wait_seconds) == (again, absent, 3.0)


def test_compressed_answers_are_refused(server: FileServer, settings: DownloadSettings) -> None:
    """A host that compresses though asked not to would give other bytes than the promised ones."""
    server.scripts["/a.h5"] = [status(200, Content_Encoding="gzip")]
    with pytest.raises(TransferFailed, match="compresses the file"):
        attempt(server.url("/a.h5"), settings)
    assert server.requests[0][1]["accept-encoding"] == "identity"


def test_an_archive_that_the_host_makes_of_a_file_is_unpacked(server: FileServer, settings: DownloadSettings) -> None:
    """Kaggle redirects to FILE.zip for some files; what arrives is the file. An archive asked for stays one."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.h5", b"content" * 100)
    server.files["/cdn/a.h5.zip"] = server.files["/b.zip"] = packed.getvalue()
    server.scripts["/a.h5"] = [redirect("/cdn/a.h5.zip?signature=x")]
    assert attempt(server.url("/a.h5"), settings).read_bytes() == b"content" * 100
    assert attempt(server.url("/b.zip"), settings).read_bytes() == packed.getvalue()
    server.scripts["/c.h5"] = [redirect("/cdn/c.h5.zip")]
    server.files["/cdn/c.h5.zip"] = packed.getvalue()
    with pytest.raises(TransferFailed, match=r"archive without c\.h5"):
        attempt(server.url("/c.h5"), settings)
    broken = bytearray(packed.getvalue())
    broken[45] ^= 255
    server.files["/cdn/d/a.h5.zip"] = bytes(broken)
    server.scripts["/d/a.h5"] = [redirect("/cdn/d/a.h5.zip")]
    with pytest.raises(TransferFailed, match="broken archive"):
        attempt(server.url("/d/a.h5"), settings)


def test_tokens_are_not_sent_in_the_clear(settings: DownloadSettings, server: FileServer) -> None:
    """A token for a host goes there over https only; loopback is the exception."""
    server.files["/a.h5"] = b"x"
    settings = dataclasses.replace(settings, credentials={f"127.0.0.1:{server.port}": "Bearer a",
                                                          f"localhost:{server.port}": "Bearer b"})
    attempt(server.url("/a.h5"), settings)
    attempt(server.url("/a.h5", "localhost"), settings)
    assert [headers["authorization"] for headers in server.asked("/a.h5")] == ["Bearer a", "Bearer b"]


def test_nobody_listening_is_told_apart(settings: DownloadSettings) -> None:
    """A closed port is "no connection", so that a machine without a network need not wait for many attempts."""
    with pytest.raises(TransferFailed, match="no connection") as caught:
        attempt("http://127.0.0.1:9/a.h5", settings)
    assert caught.value.unreachable
