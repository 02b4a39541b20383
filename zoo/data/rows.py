"""Rows of CSV, TSV and JSON lines files, read on demand: memory holds an offset per row, never the rows.

A CSV or TSV row is read by Python's csv module, so quoted fields may hold separators and line ends (CSV), and
quotes in a TSV file are ordinary characters, as in the GLUE datasets. Files are UTF-8.
"""

from __future__ import annotations

import csv
import io
import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from zoo.data.splitting import TEST, TRAIN, UNDECIDED, VALIDATION
from zoo.errors import DataError

_KINDS: dict[str, Literal["csv", "tsv", "jsonl"]] = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_STEMS = {"train": TRAIN, "validation": VALIDATION, "val": VALIDATION, "valid": VALIDATION, "dev": VALIDATION,
          "test": TEST}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONGEST_ROW_BYTES = 1 << 20


class RowError(Exception):
    """A row that cannot be read; the text says why."""


@dataclass(frozen=True)
class Row:
    """One row as it stands in the file: where it is, and its fields or the reason why there are none."""

    line: int
    offset: int
    length: int
    fields: list[str]
    problem: str = ""


@dataclass(frozen=True)
class RowFile:
    """One file of rows.

    Attributes:
        path: The file.
        kind: "csv", "tsv" or "jsonl".
        columns: Column names; for a file without a header "0", "1" ...
        header: Whether the first row holds the names.
        part: The part of the split that the file's name stands for, or UNDECIDED.
        delimiter: What separates the fields of a CSV file: "," or ";".
    """

    path: Path
    kind: Literal["csv", "tsv", "jsonl"]
    columns: tuple[str, ...]
    header: bool
    part: int = UNDECIDED
    delimiter: str = ","

    def rows(self) -> Iterator[Row]:
        """Reads the file once from its beginning; blank lines and the header are not rows."""
        first = self.header
        with self.path.open("rb") as file:
            for line, offset, record in _records(file, self.kind, self.delimiter):
                if not record.strip():
                    continue
                if first:
                    first = False
                    continue
                try:
                    yield Row(line, offset, len(record), self.parse(record))
                except RowError as error:
                    yield Row(line, offset, len(record), [], str(error))

    def parse(self, record: bytes) -> list[str]:
        """Returns the fields of one row in the order of `columns`.

        Raises:
            RowError: The bytes are not UTF-8, no JSON object, or the number of fields is not that of the columns.
        """
        fields = split_record(record, self.kind, self.columns, self.delimiter)
        if len(fields) != len(self.columns):
            raise RowError(f"{len(fields)} fields, expected {len(self.columns)}")
        return fields


def split_record(record: bytes, kind: str, columns: Sequence[str] = (), delimiter: str = ",") -> list[str]:
    """Returns the fields of the bytes of one row; JSON values in the order of `columns`.

    Raises:
        RowError: The bytes are not UTF-8 or not of this kind.
    """
    try:
        text = record.removeprefix(_BYTE_ORDER_MARK).decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise RowError(f"not UTF-8 at byte {error.start} of the row") from None
    if kind == "jsonl":
        return [_plain_text(_json_object(text), column) for column in columns]
    if kind == "tsv":
        return text.split("\t")
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration) as error:
        raise RowError(f"not CSV: {error}") from None


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise RowError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RowError(f"a JSON {type(value).__name__}, expected an object")
    return value


def _plain_text(values: dict[str, Any], column: str) -> str:
    value = values.get(column)
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _records(file: BinaryIO, kind: str, delimiter: str = ",") -> Iterator[tuple[int, int, bytes]]:
    """Yields line number from 1, byte offset and bytes of each row; a quoted CSV field may span several lines.

    A quote that no later line closes belongs to a broken row of one line; reading goes on with the next line.
    """
    number, offset = 0, 0
    while line := file.readline():
        number += 1
        row, lines = line, 1
        if kind == "csv" and b'"' in line:
            row, lines = _whole_row(file, line, delimiter.encode())
        yield number, offset, row
        number += lines - 1
        offset += len(row)


def _whole_row(file: BinaryIO, first: bytes, delimiter: bytes) -> tuple[bytes, int]:
    """Returns the row that begins with a line that was just read, and its number of lines."""
    after_first = file.tell()
    quoted = _ends_in_quotes(first.removeprefix(_BYTE_ORDER_MARK), False, delimiter)
    lines, length = [first], len(first)
    while quoted:
        line = file.readline()
        if not line or length > _LONGEST_ROW_BYTES:
            file.seek(after_first)
            return first, 1
        lines.append(line)
        length += len(line)
        quoted = _ends_in_quotes(line, True, delimiter)
    return b"".join(lines), len(lines)


def _ends_in_quotes(line: bytes, inside: bool, delimiter: bytes) -> bool:
    """Returns whether a quoted field is still open at the end of a line, given whether one is at its beginning."""
    just_closed = False
    for place, piece in enumerate(line.split(b'"')[:-1]):  # a quote follows each of these pieces
        if inside:
            inside, just_closed = False, True
            continue
        doubled = just_closed and not piece
        opening = piece.endswith(delimiter) or (place == 0 and not piece)
        inside, just_closed = doubled or opening, False
    return inside


# === Opening ===


def open_rows(path: str | Path, is_header: Callable[[list[str]], bool], header: bool | None) -> list[RowFile]:
    """Opens a file of rows, or a folder with train, validation (val, dev) and test files.

    Args:
        path: A .csv, .tsv, .tab, .jsonl or .ndjson file, or a folder with train.csv and the like.
        is_header: Whether the fields of a first row are column names.
        header: Whether the first row holds column names; None asks `is_header`.

    Raises:
        DataError: The file is missing, empty or of another kind, or the files of a folder differ in their columns.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise DataError(f"{path} does not exist. Give a {', '.join(_KINDS)} file.")
    if path.is_dir():
        return _open_folder(path, is_header, header)
    return [_open_file(path, is_header, header, UNDECIDED)]


def has_row_files(folder: Path) -> bool:
    """Returns whether a folder holds a file such as train.csv."""
    return any(path.stem.lower() == "train" and path.suffix.lower() in _KINDS for path in folder.iterdir())


def _open_folder(folder: Path, is_header: Callable[[list[str]], bool], header: bool | None) -> list[RowFile]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _KINDS and path.stem.lower() in _STEMS)
    if not any(path.stem.lower() == "train" for path in paths):
        raise DataError(f"The folder {folder} has no train file, expected train{' or train'.join(_KINDS)}, and at "
                        "will validation and test files beside it.")
    files = [_open_file(path, is_header, header, _STEMS[path.stem.lower()]) for path in paths]
    for file in files[1:]:
        if file.columns != files[0].columns:
            raise DataError(f"{file.path} has the columns {', '.join(file.columns)}, but {files[0].path} has "
                            f"{', '.join(files[0].columns)}. Files of one dataset need the same columns.")
    return files


def _open_file(path: Path, is_header: Callable[[list[str]], bool], header: bool | None, part: int) -> RowFile:
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise DataError(f"{path} has the ending {path.suffix!r}, expected one of {', '.join(_KINDS)}.")
    try:
        with path.open("rb") as file:
            first = next((record for _, _, record in _records(file, kind) if record.strip()), b"")
        if not first:
            raise DataError(f"{path} is empty, expected one row per example.")
        if kind == "jsonl":
            text = first.removeprefix(_BYTE_ORDER_MARK).decode("utf-8", "replace")
            return RowFile(path, kind, tuple(_json_object(text)), False, part)
        delimiter = ";" if b";" in first and b"," not in first else ","
        fields = [field.strip() for field in split_record(first, kind, delimiter=delimiter)]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except RowError as error:
        raise DataError(f"The first row of {path} cannot be read: {error}.") from error
    if header is None:
        header = is_header(fields)
    if header and len(set(fields)) != len(fields):
        twice = next(field for field in fields if fields.count(field) > 1)
        raise DataError(f"{path} names the column {twice!r} twice. Column names must differ.")
    columns = tuple(fields) if header else tuple(str(i) for i in range(len(fields)))
    return RowFile(path, kind, columns, header, part, delimiter)


# === Reading on demand ===


class RowIndex:
    """The places of chosen rows: 26 bytes per row."""

    def __init__(self, files: Sequence[RowFile]) -> None:
        self.files = tuple(files)
        self._file, self._line, self._offset, self._length = array("H"), array("q"), array("q"), array("L")

    def __len__(self) -> int:
        return len(self._offset)

    def add(self, file_number: int, row: Row) -> None:
        """Adds a row of the file with this number."""
        self._file.append(file_number)
        self._line.append(row.line)
        self._offset.append(row.offset)
        self._length.append(row.length)

    def name(self, index: int) -> str:
        """Returns the source of a row, such as "data.csv:12"."""
        return f"{self.files[self._file[index]].path}:{self._line[index]}"

    def parts(self) -> np.ndarray:
        """Returns for every row the part of the split that its file stands for, int8 [n]."""
        of_file = np.array([file.part for file in self.files], np.int8)
        return of_file[np.frombuffer(self._file, np.uint16)] if len(self) else np.zeros(0, np.int8)

    def read(self, indices: np.ndarray, positions: Sequence[int]) -> list[list[str]]:
        """Reads the fields at `positions` of the rows at `indices`, in the given orders.

        Raises:
            RowError: A file has changed since it was indexed.
        """
        rows: list[list[str]] = [[]] * len(indices)
        for number, file in enumerate(self.files):
            wanted = sorted((self._offset[index], self._length[index], place) for place, index in enumerate(indices)
                            if self._file[index] == number)
            if wanted:
                with file.path.open("rb") as stream:
                    for offset, length, place in wanted:
                        stream.seek(offset)
                        fields = file.parse(stream.read(length))
                        rows[place] = [fields[position] for position in positions]
        return rows
