"""One attempt to get one file from one address: resume, redirects, tokens and size limits."""

from __future__ import annotations

import errno
import functools
import hashlib
import ipaddress
import re
import shutil
import ssl
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

import httpx

from zoo.weights.cache import CacheEntry
from zoo.weights.settings import DownloadSettings

Progress = Callable[[int, int | None], None]

_CHUNK_BYTES = 1 << 18
_MOST_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ABSENT = frozenset({404, 410})
_TRY_AGAIN = frozenset({408, 425, 429})
LONGEST_WAIT_SECONDS = 30.0


class TransferFailed(Exception):
    """One attempt at one address came to nothing.

    Attributes:
        reason: Why, in a few words.
        again: Whether the same address may work a moment later.
        absent: Whether the host says that there is no such file.
        unreachable: Whether there was no host to talk to.
        wait_seconds: How long the host asks to wait.
    """

    def __init__(self, reason: str, *, again: bool = False, absent: bool = False, unreachable: bool = False,
                 wait_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again
        self.absent = absent
        self.unreachable = unreachable
        self.wait_seconds = wait_seconds


class DiskFull(Exception):
    """The disk has no room for the file."""


def public_address(url: str) -> str:
    """Returns an address without what may be secret in it: user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if parts.scheme else url


def new_client(settings: DownloadSettings) -> httpx.Client:
    """Returns a client that follows no redirect by itself and keeps the given timeouts."""
    timeout = httpx.Timeout(settings.read_timeout_seconds, connect=settings.connect_timeout_seconds)
    return httpx.Client(timeout=timeout, follow_redirects=False, verify=_certificates())


@functools.cache
def _certificates() -> ssl.SSLContext:
    """The authorities that are trusted; reading them takes longer than asking for a small file."""
    return httpx.create_ssl_context()


def transfer(url: str, entry: CacheEntry, client: httpx.Client, settings: DownloadSettings,
             progress: Progress | None = None) -> bool:
    """Brings what `url` serves into the entry's partial file, going on where an earlier attempt ended.

    Args:
        url: An http, https or file address.
        entry: The place in the cache; its partial file is written.
        client: An HTTP client of `new_client`.
        settings: Tokens and timeouts.
        progress: Called with bytes so far and bytes in all (None = unknown).

    Returns:
        Whether bytes of an earlier attempt were used.

    Raises:
        TransferFailed: This attempt came to nothing.
        DiskFull: There is no room on the disk.
    """
    if urlsplit(url).scheme == "file":
        _copy_local(url, entry, progress)
        return False
    begun = _resumable_bytes(url, entry)
    headers = {"Accept-Encoding": "identity", "User-Agent": "servable-zoo"}
    if begun:
        headers["Range"] = f"bytes={begun}-"
        validator = entry.partial_origin()[1]
        if validator and entry.partial_origin()[0] == _hashed(url):
            headers["If-Range"] = validator
    try:
        with _answer(url, headers, client, settings) as response:
            resumed = _receive(url, response, begun, entry, progress)
        _unzip(url, str(response.url), entry)
        return resumed
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise TransferFailed(f"no connection ({_first_line(error)})", again=True, unreachable=True) from error
    except httpx.TimeoutException as error:
        raise TransferFailed(f"timed out ({type(error).__name__})", again=True) from error
    except httpx.HTTPError as error:
        raise TransferFailed(f"{_first_line(error)}", again=not isinstance(error, httpx.UnsupportedProtocol)) from error


# === The request ===


@contextmanager
def _answer(url: str, headers: dict[str, str], client: httpx.Client,
            settings: DownloadSettings) -> Iterator[httpx.Response]:
    """Follows redirects by hand, because each host may see its own token only."""
    current = httpx.URL(url)
    for _ in range(_MOST_REDIRECTS):
        with client.stream("GET", current, headers=headers | _authorization(current, settings)) as response:
            if response.status_code not in _REDIRECTS or "location" not in response.headers:
                yield response
                return
            following = current.join(response.headers["location"])
        if following.scheme not in ("http", "https") or (current.scheme == "https" and following.scheme == "http"):
            raise TransferFailed(f"redirected to {following.scheme}://{following.host}, which is less safe")
        current = following
    raise TransferFailed(f"more than {_MOST_REDIRECTS} redirects")


def _authorization(url: httpx.URL, settings: DownloadSettings) -> dict[str, str]:
    host = url.host if url.port is None else f"{url.host}:{url.port}"
    token = settings.credentials.get(host)
    if token is None or (url.scheme != "https" and not _is_loopback(url.host)):
        return {}
    return {"Authorization": token}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# === The answer ===


def _receive(url: str, response: httpx.Response, begun: int, entry: CacheEntry, progress: Progress | None) -> bool:
    start = _start_of(response, begun, entry)
    if response.headers.get("content-encoding", "identity") != "identity":
        raise TransferFailed(f"the host compresses the file ({response.headers['content-encoding']}), though asked "
                             "not to")
    length = response.headers.get("content-length", "")
    total = start + int(length) if length.isdigit() else None
    _check_size(total, entry)
    _check_room((total or start) - start, entry.folder)
    if start == 0:
        tag = response.headers.get("etag", "")
        entry.note_partial_origin(_hashed(url), tag if tag.startswith('"') else "")
    with _opened(entry.partial, append=start > 0) as file:
        received = _write(file, response, start, total, entry, progress)
    if total is not None and received != total:
        raise TransferFailed(f"ended after {received} of {total} bytes", again=True)
    return start > 0


def _start_of(response: httpx.Response, begun: int, entry: CacheEntry) -> int:
    """Returns at which byte the answer's content starts."""
    status = response.status_code
    if status == 200:
        return 0
    if status == 206 and begun:
        stated = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
        if stated and int(stated[1]) == begun:
            return begun
    if status in (206, 416):  # what we have does not fit what the host has: begin anew
        entry.discard_partial()
        raise TransferFailed("the earlier part does not fit the host's file", again=True)
    reason = f"HTTP {status} {response.reason_phrase}".strip()
    if status in (401, 403):
        reason += " (the host wants a token or that you accept its terms)"
    raise TransferFailed(reason, again=status in _TRY_AGAIN or status >= 500, absent=status in _ABSENT,
                         wait_seconds=_wait_of(response))


def _wait_of(response: httpx.Response) -> float:
    stated = response.headers.get("retry-after", "")
    return min(float(stated), LONGEST_WAIT_SECONDS) if stated.isdigit() else 0.0


def _write(file: BinaryIO, response: httpx.Response, start: int, total: int | None, entry: CacheEntry,
           progress: Progress | None) -> int:
    received = start
    if progress:
        progress(received, total)
    for chunk in response.iter_raw():  # with a chunk size httpx would keep back, and at a break lose, the last bytes
        received += len(chunk)
        _check_size(received, entry, still_running=True)
        file.write(chunk)
        if progress:
            progress(received, total)
    return received


def _check_size(size: int | None, entry: CacheEntry, *, still_running: bool = False) -> None:
    wanted = entry.file.size_bytes
    if wanted is None or size is None or size == wanted or (still_running and size < wanted):
        return
    entry.discard_partial()
    raise TransferFailed(f"the file has {'more than ' if still_running else ''}{size} bytes, expected {wanted}")


def _check_room(needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DiskFull(f"{needed} bytes are needed in {folder}, and {free} are free")


# === Files ===


@contextmanager
def _opened(path: Path, *, append: bool) -> Iterator[BinaryIO]:
    try:
        with path.open("ab" if append else "wb") as file:
            yield file
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            path.unlink(missing_ok=True)  # a full disk is not to stay full because of us
            raise DiskFull(f"the disk of {path.parent} is full") from error
        raise


def _unzip(asked: str, answered: str, entry: CacheEntry) -> None:
    """Takes the file out of the archive that Kaggle makes of some files: it then redirects to FILE.zip."""
    name = _last_segment(asked)
    if _last_segment(answered) != f"{name}.zip" or not zipfile.is_zipfile(entry.partial):
        return
    unpacked = entry.partial.with_suffix(".unpacked")
    try:
        with zipfile.ZipFile(entry.partial) as archive:
            if name not in archive.namelist():
                raise TransferFailed(f"the host sent an archive without {name}")
            _check_room(archive.getinfo(name).file_size, entry.folder)
            with archive.open(name) as packed, _opened(unpacked, append=False) as file:
                shutil.copyfileobj(packed, file, _CHUNK_BYTES)
    except (zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        entry.discard_partial()
        raise TransferFailed(f"the host sent a broken archive ({error})", again=True) from error
    entry.note_partial_origin("", "")  # after a crash here nothing may be added to what is unpacked
    unpacked.replace(entry.partial)


def _last_segment(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2]


def _resumable_bytes(url: str, entry: CacheEntry) -> int:
    """Returns how many bytes of an earlier attempt may be kept.

    With promised content any address may go on, because the whole is checked. Without, only the same address may,
    and only where it gave a validator that tells whether its file is still the same.
    """
    size = entry.partial.stat().st_size if entry.partial.is_file() else 0
    address, validator = entry.partial_origin()
    promised = bool(entry.file.sha256 or entry.file.md5)
    too_long = entry.file.size_bytes is not None and size >= entry.file.size_bytes
    if size and not too_long and (promised or (address == _hashed(url) and validator)):
        return size
    entry.discard_partial()
    return 0


def _copy_local(url: str, entry: CacheEntry, progress: Progress | None) -> None:
    source = Path(unquote(urlsplit(url).path))
    try:
        total = source.stat().st_size
        _check_size(total, entry)
        _check_room(total, entry.folder)
        with source.open("rb") as original, _opened(entry.partial, append=False) as copy:
            done = 0
            while chunk := original.read(_CHUNK_BYTES):
                copy.write(chunk)
                done += len(chunk)
                if progress:
                    progress(done, total)
    except OSError as error:
        raise TransferFailed(error.strerror or str(error), absent=error.errno == errno.ENOENT) from error


def _hashed(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__

