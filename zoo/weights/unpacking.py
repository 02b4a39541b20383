"""Archives from strangers, unpacked so that nothing lands outside the folder and nothing fills the disk.

Only plain files and folders are taken. A link, a device, a path that leaves the folder, a name that occurs twice, or
more content than an archive of that size may hold refuses the whole archive.
"""

from __future__ import annotations

import gzip
import io
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from zoo.errors import WeightsError

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")

_PARTS_OF_MODELS = ("variables", "assets")  # alone they are half a SavedModel
_CHUNK_BYTES = 1 << 20
_MOST_PARTS = 32
_LONGEST_PART_BYTES = 255
_BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile, NotImplementedError)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much an archive may become.

    Attributes:
        files: Most files and folders.
        total_bytes: Most bytes in all.
        ratio: Most bytes per byte of the archive; parameters hardly shrink when they are packed.
        free_bytes: Up to this size the ratio does not matter.
    """

    files: int = 20_000
    total_bytes: int = 1 << 37
    ratio: int = 100
    free_bytes: int = 1 << 28

    def most_bytes(self, archive_bytes: int) -> int:
        """Returns how many bytes an archive of this size may become."""
        return min(self.total_bytes, max(self.free_bytes, archive_bytes * self.ratio))


@dataclass(frozen=True)
class _Member:
    """One entry of an archive: where it belongs, and its content (None = a folder)."""

    path: PurePosixPath
    content: BinaryIO | None


def is_archive(path: Path) -> bool:
    """Returns whether a file begins like an archive that `unpack` reads; .keras files are zip archives too."""
    with path.open("rb") as file:
        start = file.read(512)
    return start.startswith((b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06")) or start[257:262] == b"ustar"


def unpack(archive: Path, folder: Path, limits: Limits | None = None) -> None:
    """Unpacks a tar, gzipped tar or zip archive into an empty folder.

    Args:
        archive: The file; its content decides what it is, not its name.
        folder: Where the content goes; after an error it may hold a part.
        limits: How much it may become; None takes the defaults.

    Raises:
        WeightsError: The archive is broken, too big, or holds something that is no plain file or folder.
    """
    limits = limits or Limits()
    allowed = limits.most_bytes(archive.stat().st_size)
    written, seen = 0, set[PurePosixPath]()
    try:
        for count, member in enumerate(_members(archive, allowed), 1):
            if count > limits.files:
                raise WeightsError(f"The archive {archive.name!r} has more than {limits.files} entries.")
            if member.path in seen and member.content is not None:
                raise WeightsError(f"The archive {archive.name!r} has {str(member.path)!r} twice.")
            seen.add(member.path)
            written += _write(member, folder, allowed - written, archive)
    except _BROKEN as error:
        raise WeightsError(f"The archive {archive.name!r} is broken or incomplete ({_first_line(error)}). "
                           "Fetch it again.") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise WeightsError(f"The archive {archive.name!r} has a file and a folder of the same name.") from error
    if not seen:
        raise WeightsError(f"The archive {archive.name!r} is empty.")


def content_root(folder: Path) -> Path:
    """Returns the folder in which the content begins: many archives hold one folder and everything in it."""
    for _ in range(_MOST_PARTS):
        inside = [entry for entry in folder.iterdir() if entry.name not in ("__MACOSX", ".DS_Store")]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].name in _PARTS_OF_MODELS:
            return folder
        folder = inside[0]
    return folder


def _members(archive: Path, allowed: int) -> Iterator[_Member]:
    if zipfile.is_zipfile(archive) and not _is_gzip(archive):
        yield from _zip_members(archive)
        return
    if not is_archive(archive):
        raise WeightsError(f"The file {archive.name!r} is no archive that can be read here. Expected .tar.gz, .tgz, "
                           ".tar or .zip.")
    yield from _tar_members(archive, allowed)


def _is_gzip(archive: Path) -> bool:
    with archive.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _tar_members(archive: Path, allowed: int) -> Iterator[_Member]:
    with archive.open("rb") as file:
        plain: BinaryIO = gzip.GzipFile(fileobj=file) if _is_gzip(archive) else file  # type: ignore[assignment]
        # Headers count too: tarfile reads the long ones into memory.
        stream = io.BufferedReader(_Limited(plain, allowed + (1 << 24), archive.name), _CHUNK_BYTES)
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for info in tar:
                if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) or info.issparse():
                    raise _refused(archive, info.name, "is a link, a device or another special file")
                path = _safe_path(info.name, archive)
                yield _Member(path, None if info.isdir() else tar.extractfile(info))  # type: ignore[arg-type]


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, info.filename, "is a link, a device or another special file")
            if info.flag_bits & 1:
                raise _refused(archive, info.filename, "is encrypted")
            path = _safe_path(info.filename, archive)
            if info.is_dir():
                yield _Member(path, None)
                continue
            with closing(packed.open(info)) as content:
                yield _Member(path, content)  # type: ignore[arg-type]


def _safe_path(name: str, archive: Path) -> PurePosixPath:
    """The entry's path below the folder; anything that could lead elsewhere, on any system, is refused."""
    path = PurePosixPath(name)
    parts = path.parts
    if path.is_absolute() or ".." in parts or "\\" in name or (parts and parts[0][1:2] == ":"):
        raise _refused(archive, name, "would be written outside of its folder")
    too_long = len(parts) > _MOST_PARTS or any(len(part.encode("utf-8", "replace")) > _LONGEST_PART_BYTES
                                               for part in parts)
    if too_long or not name.isprintable():
        raise _refused(archive, name[:100], "has no usable name")
    return path


def _write(member: _Member, folder: Path, allowed: int, archive: Path) -> int:
    """Writes one entry and returns its size in bytes."""
    target = folder / member.path
    if member.content is None:
        target.mkdir(parents=True, exist_ok=True)
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with target.open("xb") as file:
        while chunk := member.content.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > allowed:
                raise _too_big(archive.name)
            if shutil.disk_usage(folder).free < len(chunk):
                raise WeightsError(f"The archive {archive.name!r} does not fit on the disk. Free some space, or point "
                                   "ZOO_CACHE to another disk.")
            file.write(chunk)
    return written


class _Limited(io.RawIOBase):
    """A stream that refuses to give more than a number of bytes."""

    def __init__(self, source: BinaryIO, allowed: int, name: str) -> None:
        super().__init__()
        self._source, self._left, self._name = source, allowed, name

    def readable(self) -> bool:
        """Returns that it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Reads into `buffer` and returns how many bytes came."""
        chunk = self._source.read(len(buffer))
        self._left -= len(chunk)
        if self._left < 0:
            raise _too_big(self._name)
        buffer[:len(chunk)] = chunk
        return len(chunk)


def _too_big(name: str) -> WeightsError:
    return WeightsError(f"The archive {name!r} becomes far bigger than an archive of its size should, so it was not "
                        "unpacked. If you trust it, unpack it yourself and give the folder.")


def _refused(archive: Path, name: str, reason: str) -> WeightsError:
    return WeightsError(f"The archive {archive.name!r} was refused: its entry {name!r} {reason}. "
                        "Get the model from its publisher, or unpack it yourself and give the folder.")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
