"""The journal of a search: one line per commit, each with a number and a checksum, written before anything is believed.

A line reads

    {"crc32":"89abcdef","line":17,"records":[{"kind":"epoch",...}]}

with the checksum over everything after its own field, so that a line is whole or not there: the records of a line are
kept or lost together. What a crash left half-written at the end is cut off, and kept in a file beside the journal.
A damaged line with whole ones after it cannot come from a crash, and is refused.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tuning.errors import StoreError

Record = Mapping[str, Any]

_HEAD = b'{"crc32":"'
_AFTER_SUM = b'",'
_SUM_END = len(_HEAD) + 8
_BODY = _SUM_END + len(_AFTER_SUM)


@dataclass(frozen=True)
class JournalContent:
    """What stands in a journal.

    Attributes:
        lines: The records of each whole line.
        size: Bytes of the whole lines.
        tail: What stands after them: half-written or damaged, b"" as a rule.
    """

    lines: tuple[tuple[Record, ...], ...] = ()
    size: int = 0
    tail: bytes = b""

    @property
    def records(self) -> Iterator[Record]:
        """All records in order."""
        return (record for line in self.lines for record in line)


def read_journal(path: Path) -> JournalContent:
    """Reads a journal without changing it, also while another process writes it.

    Args:
        path: The file; one that does not exist is empty.

    Returns:
        Its content; a damaged end stands in `tail`.

    Raises:
        StoreError: It cannot be read, or a line is damaged that has whole ones after it.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return JournalContent()
    except OSError as error:
        raise StoreError(f"The search's journal cannot be read: {path}: {error.strerror}") from error
    lines: list[tuple[Record, ...]] = []
    start = 0
    while (end := content.find(b"\n", start)) >= 0:
        records = _decode(content[start:end], len(lines) + 1)
        if records is None:
            break
        lines.append(records)
        start = end + 1
    tail = content[start:]
    _refuse_damaged_middle(path, tail, len(lines) + 1)
    return JournalContent(tuple(lines), start, tail)


def _refuse_damaged_middle(path: Path, tail: bytes, number: int) -> None:
    """Raises if a whole line stands anywhere in `tail`, whose first does not belong there: no crash leaves that."""
    place = tail.find(_HEAD)
    while place >= 0 and (end := tail.find(b"\n", place)) >= 0:
        if _decode(tail[place:end], None) is not None:
            raise StoreError(
                f"The search's journal is damaged in its middle: line {number} of {path} does not fit its number or "
                "checksum, but is no end that a crash leaves half-written; the file was changed, or the disk lost "
                f"data. Put the file back from a copy; or keep what stands before it with: "
                f"head -n {number - 1} {path} > kept && mv kept {path}")
        place = tail.find(_HEAD, place + 1)


def _encode(number: int, records: Sequence[Record]) -> bytes:
    body = json.dumps({"line": number, "records": records}, separators=(",", ":"), allow_nan=False)[1:].encode()
    return _HEAD + b"%08x" % zlib.crc32(body) + _AFTER_SUM + body + b"\n"


def _decode(line: bytes, number: int | None) -> tuple[Record, ...] | None:
    """Returns a line's records, or None if it is damaged or has another number than the one given."""
    if not line.startswith(_HEAD) or line[_SUM_END:_BODY] != _AFTER_SUM:
        return None
    body = line[_BODY:]
    if line[len(_HEAD):_SUM_END] != b"%08x" % zlib.crc32(body):
        return None
    content = json.loads(b"{" + body)
    return tuple(content["records"]) if number is None or content["line"] == number else None


class Journal:
    """A journal that is being written, by one process. Opening it cuts off and keeps what a crash left half-written.

    Args:
        path: The file; it is made if it does not exist.

    Attributes:
        content: What stood in it when it was opened.
        cut: The file that a damaged end was kept in, or None.

    Raises:
        StoreError: It cannot be opened, read, or is damaged in its middle.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self.content = read_journal(path)
        self._end = self.content.size
        self._lines = len(self.content.lines)
        try:
            self.cut = self._keep_tail() if self.content.tail else None
            fresh = not path.exists()
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
            if fresh:
                flush_folder(path.parent)
            os.ftruncate(self._file, self._end)
            if self.cut is not None:
                _flush(self._file)
        except OSError as error:
            self.close()
            raise StoreError(f"The search's journal cannot be opened: {path}: {error.strerror}. It was not changed; "
                             "make room or mend the permissions, and run the same command again.") from error

    def append(self, records: Sequence[Record]) -> None:
        """Writes records as one line and waits until the disk has it; either all of them are kept or none.

        Args:
            records: JSON-ready.

        Raises:
            StoreError: The disk is full or broken. The journal is as it was before.
        """
        if self._file is None:
            raise StoreError(f"The search's journal is closed: {self._path}. Open the search again.")
        if not records:
            return
        line = _encode(self._lines + 1, records)
        try:
            _write_at(self._file, line, self._end)
            _flush(self._file)
        except BaseException as error:
            self._take_back()
            if not isinstance(error, OSError):
                raise
            raise StoreError(f"The search's journal cannot be written: {self._path}: {error.strerror}. Everything "
                             "before is kept; make room and run the same command again.") from error
        self._end += len(line)
        self._lines += 1

    def close(self) -> None:
        """Closes the file; a second time does nothing."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def _take_back(self) -> None:
        """Cuts off what a failed write left; a journal that cannot even do that takes nothing more."""
        assert self._file is not None
        try:
            os.ftruncate(self._file, self._end)
        except OSError:
            self.close()

    def _keep_tail(self) -> Path:
        """Writes the damaged end to a file of its own before it is cut off."""
        number = 1
        while (kept := self._path.with_name(f"{self._path.name}.cut{number}")).exists():
            number += 1
        write_whole(kept, self.content.tail)
        return kept


def write_whole(path: Path, content: bytes, *, wait: bool = True) -> None:
    """Writes a file so that it is there as a whole or as it was before.

    Args:
        path: The file.
        content: All of it.
        wait: Whether to wait until the disk has it, so that this holds after a loss of power too.

    Raises:
        OSError: It cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if wait:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if wait:
        flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Waits until the disk has the names of a folder's files.

    Args:
        folder: The folder.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_at(file: int, content: bytes, offset: int) -> None:
    """Writes all of `content`; a disk that fills up may take a part of it first."""
    view = memoryview(content)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


# The size of a file that has grown is data enough; where a system has no such call, everything is flushed.
_flush = getattr(os, "fdatasync", os.fsync)
