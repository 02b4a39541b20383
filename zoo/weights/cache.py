"""The folder where downloaded files are kept, and what makes one of them trustworthy.

    <cache root>/files/<key>/<file name>            the whole, checked file; it appears in one step
    <cache root>/files/<key>/<file name>.sha256     its content, where the publisher promises no sha256
    <cache root>/files/<key>/<file name>.partial    what an unfinished download has so far
    <cache root>/files/<key>/<file name>.lock       held by the process that downloads

The key comes from the promised content, or from the address where none is promised. So a copy of the `files` folder
behind any web server is a mirror. Weak part: the lock is `flock`, which some network file systems do not honour.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import ArgumentError
from zoo.spec import FileRef

_CHUNK_BYTES = 1 << 20
_KEY_CHARACTERS = 24
_LONGEST_NAME = 150


@dataclass(frozen=True)
class Digests:
    """The sha256 of a file's content in hexadecimal, and its md5 where a publisher promises that."""

    sha256: str
    md5: str = ""


@dataclass(frozen=True)
class CacheEntry:
    """The place of one file in the cache, and the checks on its content.

    Attributes:
        file: What the file must be.
        folder: The folder that the entry has for itself.
    """

    file: FileRef
    folder: Path

    @classmethod
    def of(cls, file: FileRef, cache_root: Path) -> CacheEntry:
        """Returns the entry of `file`.

        Raises:
            ArgumentError: The file's name would leave the cache, or it has neither a hash nor an address.
        """
        _check_name(file.file_name)
        return cls(file=file, folder=cache_root / "files" / entry_key(file))

    @property
    def path(self) -> Path:
        """Where the whole file lies."""
        return self.folder / self.file.file_name

    @property
    def partial(self) -> Path:
        """Where an unfinished download lies."""
        return self.folder / f"{self.file.file_name}.partial"

    @property
    def pin(self) -> Path:
        """Where the sha256 of a file without a promised one is noted at its first download."""
        return self.folder / f"{self.file.file_name}.sha256"

    @property
    def promised(self) -> str:
        """What the content must be, in words for a person."""
        if self.file.sha256:
            return f"sha256 {self.file.sha256}"
        pinned = self.pinned_sha256()
        known = [f"md5 {self.file.md5}"] if self.file.md5 else []
        return ", ".join([*known, f"sha256 {pinned}"] if pinned else known)

    def pinned_sha256(self) -> str:
        """Returns the sha256 noted at the first download, or an empty string."""
        try:
            words = self.pin.read_text().split()
        except (OSError, UnicodeDecodeError):
            return ""
        return words[0] if words and is_sha256(words[0]) else ""

    def problem_with(self, found: Digests) -> str:
        """Returns what is wrong with content of these digests, or an empty string."""
        if self.file.sha256 and found.sha256 != self.file.sha256:
            return f"its sha256 is {found.sha256}, expected {self.file.sha256}"
        if self.file.md5 and found.md5 != self.file.md5:
            return f"its md5 is {found.md5}, expected {self.file.md5}"
        pinned = self.pinned_sha256() if not self.file.sha256 else ""
        if pinned and found.sha256 != pinned:
            return f"its sha256 is {found.sha256}, and at the first download it was {pinned}"
        return ""

    def keep_pin(self, found: Digests) -> None:
        """Notes the sha256 of a file without a promised one, in the form that `sha256sum --check` reads."""
        if self.file.sha256 or self.pinned_sha256():
            return
        with contextlib.suppress(OSError):  # a read-only cache still serves its files
            replace_file(self.pin, f"{found.sha256}  {self.file.file_name}\n".encode())

    def publish(self) -> None:
        """Turns the finished partial file into the whole one, in one step that survives a power cut."""
        sync(self.partial)
        self.partial.replace(self.path)
        sync(self.folder)
        self.discard_partial()

    def discard_partial(self) -> None:
        """Removes what an unfinished download has left."""
        self.partial.unlink(missing_ok=True)
        self._partial_origin.unlink(missing_ok=True)

    def partial_origin(self) -> tuple[str, str]:
        """Returns the address (as a hash) and the validator (strong ETag) of the partial file, or empty strings."""
        try:
            noted = json.loads(self._partial_origin.read_text())
            return str(noted["address"]), str(noted["validator"])
        except (OSError, ValueError, KeyError, TypeError):
            return "", ""

    def note_partial_origin(self, address: str, validator: str) -> None:
        """Notes where the partial file comes from; the address only as a hash, because it may hold a secret."""
        replace_file(self._partial_origin, json.dumps({"address": address, "validator": validator}).encode())

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the entry against other processes; the system frees it when its holder dies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / f"{self.file.file_name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @property
    def _partial_origin(self) -> Path:
        return self.folder / f"{self.file.file_name}.partial-origin"


def entry_key(file: FileRef) -> str:
    """Returns the name of the folder that a file has in the cache.

    Raises:
        ArgumentError: A hash is malformed, or there is neither a hash nor an address.
    """
    for name, length in (("sha256", 64), ("md5", 32)):
        value = getattr(file, name)
        if value and not _is_hex(value, length):
            raise ArgumentError(f"The {name} of {file.file_name!r} must be {length} lower-case hexadecimal digits. "
                                f"Received: {value!r}")
    if file.sha256:
        return f"sha256-{file.sha256[:_KEY_CHARACTERS]}"
    if file.md5:
        return f"md5-{file.md5}"
    if file.urls:
        return f"address-{hashlib.sha256(file.urls[0].encode()).hexdigest()[:_KEY_CHARACTERS]}"
    raise ArgumentError(f"The file {file.file_name!r} has neither a hash nor an address.")


def digests(path: Path, *, with_md5: bool = False) -> Digests:
    """Returns the digests of a file, read in pieces; the md5 is empty unless it is asked for."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            sha256.update(chunk)
            if with_md5:
                md5.update(chunk)
    return Digests(sha256.hexdigest(), md5.hexdigest() if with_md5 else "")


def sync(path: Path) -> None:
    """Forces a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Writes a small file in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def is_sha256(text: str) -> bool:
    """Returns whether a text is a sha256 in lower-case hexadecimal digits."""
    return _is_hex(text, 64)


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and set(text) <= set("0123456789abcdef")


def _check_name(name: str) -> None:
    plain = name and not name.startswith(".") and not set(name) & set("/\\:\0") and name.isprintable()
    if not plain or len(name) > _LONGEST_NAME:
        raise ArgumentError(f"A file in the cache needs a plain name of at most {_LONGEST_NAME} characters, without a "
                            f"folder and without a leading dot. Received: {name!r}")
