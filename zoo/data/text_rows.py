"""Texts in the rows of CSV, TSV and JSON lines files: which are usable, and reading them on demand."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.data.cleaning import Exclusion
from zoo.data.columns import LABEL_NAMES, TEXT_NAMES, column_number, pair_column, text_and_label
from zoo.data.fingerprints import DIGEST_BYTES, content_digest
from zoo.data.folders import sorted_labels
from zoo.data.labelled import Lazy
from zoo.data.planning import Found
from zoo.data.rows import Row, RowFile, RowIndex, open_rows
from zoo.data.table_layout import parsed_number
from zoo.data.text_encoding import FoundTexts
from zoo.errors import ArgumentError, DataError

_PAIR_SEPARATOR = b"\x1f"


@dataclass(frozen=True, kw_only=True)
class TextColumns:
    """Which columns of a file hold what, by name or position; None guesses it (a second text is never guessed)."""

    text: str | int | None = None
    pair: str | int | None = None
    label: str | int | None = None


def text_rows(path: Path, columns: TextColumns, header: bool | None, labels: Sequence[str] | None,
              numbers: bool = False) -> FoundTexts:
    """Finds the texts of rows and checks them.

    Args:
        path: A file of rows, or a folder with train.csv and the like.
        columns: Which columns to read.
        header: Whether the first row holds column names; None finds out by usual names.
        labels: Class names to use, or None for all.
        numbers: Whether the label is a number to predict (regression).

    Returns:
        The readable texts.

    Raises:
        ArgumentError: Labels for a regression.
        DataError: Missing or empty files, or columns that cannot be guessed.
        UnknownNameError: No such column.
    """
    if numbers and labels:
        raise ArgumentError(f"A regression has no labels. Received: {list(labels)}")
    given = [name.lower() for name in (columns.text, columns.pair, columns.label) if isinstance(name, str)]
    named = given or [*TEXT_NAMES, *LABEL_NAMES]
    files = open_rows(path, lambda fields: any(field.lower() in named for field in fields), header)
    scan = _scanned(files, columns, numbers)
    rows = scan.rows
    if numbers:
        names: tuple[str, ...] = ()
        targets: np.ndarray = np.frombuffer(scan.numbers, np.float32).reshape(-1, 1).copy()
        keep = np.arange(len(targets))
    else:
        names = sorted_labels(set(scan.label_numbers)) if labels is None else _known_labels(labels, scan, path)
        position = {name: index for index, name in enumerate(names)}
        order = np.array([position.get(name, -1) for name in scan.label_numbers], np.int32)
        targets = order[np.frombuffer(scan.classes, np.int32)] if len(scan.classes) else np.zeros(0, np.int32)
        keep = np.flatnonzero(targets >= 0)
        scan.excluded += [Exclusion(rows.name(int(index)), "not a class", "not among the chosen labels")
                          for index in np.flatnonzero(targets < 0)]

    def read(indices: np.ndarray) -> list[list[str]]:
        return rows.read(keep[indices], scan.text_at)

    found = Found(
        where=str(path),
        names=Lazy(len(keep), lambda index: rows.name(int(keep[index]))),
        digests=np.frombuffer(bytes(scan.digests), f"S{DIGEST_BYTES}")[keep],
        targets=targets[keep],
        labels=names,
        given=rows.parts()[keep],
        checked=scan.checked,
        excluded=tuple(scan.excluded),
    )
    return FoundTexts(found, read, np.frombuffer(scan.lengths, np.int32)[keep], texts=len(scan.text_at))


def _scanned(files: list[RowFile], columns: TextColumns, numbers: bool) -> _RowScan:
    if columns.pair is not None:
        column_number(columns.pair, files[0].columns, files[0].path)  # before the others are guessed
    text_at, label_at = text_and_label(files[0], columns.text, columns.label)
    texts_at = [text_at] if columns.pair is None else \
        [text_at, pair_column(files[0], columns.pair, text_at, label_at)]
    scan = _RowScan(RowIndex(files), texts_at, label_at, numbers)
    for number, file in enumerate(files):
        for row in file.rows():
            scan.add(number, row)
    return scan


class _RowScan:
    """What one pass over the rows collects."""

    def __init__(self, rows: RowIndex, text_at: list[int], label_at: int, wants_numbers: bool) -> None:
        self.rows = rows
        self.text_at = text_at
        self.checked = 0
        self.label_numbers: dict[str, int] = {}  # in the order of their first row
        self.classes = array("i")
        self.numbers = array("f")
        self.lengths = array("i")
        self.digests = bytearray()
        self.excluded: list[Exclusion] = []
        self._label_at, self._wants_numbers = label_at, wants_numbers

    def add(self, number: int, row: Row) -> None:
        self.checked += 1
        problem = self._problem(row, f"{self.rows.files[number].path}:{row.line}")
        if problem is not None:
            self.excluded.append(problem)
            return
        label = row.fields[self._label_at].strip()
        self.rows.add(number, row)
        if self._wants_numbers:
            self.numbers.append(float(label))
        else:
            self.classes.append(self.label_numbers.setdefault(label, len(self.label_numbers)))
        texts = [row.fields[position] for position in self.text_at]
        self.lengths.append(min(sum(map(len, texts)), 2**31 - 1))
        self.digests += content_digest(_PAIR_SEPARATOR.join(text.encode("utf-8") for text in texts))

    def _problem(self, row: Row, source: str) -> Exclusion | None:
        if row.problem:
            return Exclusion(source, "unreadable", row.problem)
        if any(not row.fields[position].strip() for position in self.text_at):
            return Exclusion(source, "empty", "no text")
        label = row.fields[self._label_at].strip()
        if not label:
            return Exclusion(source, "no label")
        number = parsed_number(label) if self._wants_numbers else 0.0
        if number is None or math.isnan(number):
            return Exclusion(source, "not a number", f"{label[:40]!r}")
        return None


def _known_labels(labels: Sequence[str], scan: _RowScan, path: Path) -> tuple[str, ...]:
    missing = [label for label in labels if label not in scan.label_numbers]
    if missing:
        raise DataError(f"{path} has no row of the class {missing[0]!r}. It has: "
                        f"{', '.join(_first_sorted(scan.label_numbers))}.")
    return tuple(labels)


def _first_sorted(names: Iterable[str]) -> list[str]:
    return sorted(names)[:20]
