"""Which columns of a table are features and targets, and which of them hold numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np

from zoo.data.columns import column_number
from zoo.data.rows import RowFile
from zoo.errors import ArgumentError, DataError
from zoo.spec import TabularPreprocessing

TableTask = Literal["classification", "binary_classification", "regression"]
ColumnKind = Literal["numeric", "categorical"]

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
_KIND_FROM_ROWS = 1000
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class TableLayout:
    """Names, kinds and positions of the features in a row, and positions of the targets."""

    task: TableTask
    names: tuple[str, ...]
    kinds: tuple[ColumnKind, ...]
    features: tuple[int, ...]
    targets: tuple[int, ...]


def is_header(fields: list[str], targets: Sequence[str | int]) -> bool:
    """Returns whether a first row holds column names: it names a target, or none of its fields is a number."""
    if any(target in fields for target in targets):
        return True
    return not any(math.isfinite(number) for number in map(parsed_number, fields) if number is not None)


def table_layout(file: RowFile, target: Sequence[str | int], task: TableTask,
                 columns: Sequence[str | int] | Mapping[str, ColumnKind] | None,
                 preprocessing: TabularPreprocessing | None) -> TableLayout:
    """Finds the columns of a table.

    Args:
        file: The table, or its first file.
        target: Names or positions of the columns to predict.
        task: What the targets are.
        columns: As for `load_table`.
        preprocessing: Names its own columns, or None.

    Raises:
        ArgumentError: A column that is both target and feature, or of an unknown kind.
        DataError: No column is left to predict from.
        UnknownNameError: No such column.
    """
    targets = tuple(column_number(name, file.columns, file.path) for name in target)
    if preprocessing is not None:
        columns = {column.name: column.kind for column in preprocessing.columns}
    if columns is None:
        features = tuple(i for i in range(len(file.columns)) if i not in targets)
    else:
        features = tuple(column_number(name, file.columns, file.path) for name in columns)
    if not features:
        raise DataError(f"{file.path} has no column besides the target, expected at least one to predict from.")
    both = set(features) & set(targets)
    if both:
        raise ArgumentError(f"The column {file.columns[both.pop()]!r} is both a target and among `columns`.")
    guessed = _guessed_kinds(file, features)
    kinds = tuple(columns.values()) if isinstance(columns, Mapping) else guessed
    wrong = [kind for kind in kinds if kind not in ("numeric", "categorical")]
    if wrong:
        raise ArgumentError(f"A column is 'numeric' or 'categorical'. Received: {wrong[0]!r}")
    return TableLayout(task, tuple(file.columns[i] for i in features), kinds, features, targets)


def _guessed_kinds(file: RowFile, features: Sequence[int]) -> tuple[ColumnKind, ...]:
    numbers, present = [0] * len(features), [0] * len(features)
    for row in islice(file.rows(), _KIND_FROM_ROWS):
        if row.problem:
            continue
        for place, position in enumerate(features):
            text = row.fields[position].strip()
            if text.lower() not in _MISSING:
                present[place] += 1
                numbers[place] += parsed_number(text) is not None
    return tuple("numeric" if 2 * numbers[i] >= present[i] else "categorical" for i in range(len(features)))


def parsed_number(text: str) -> float | None:
    """Returns the finite number that a field holds, NaN for a missing one, None for anything else."""
    text = text.strip()
    if text.lower() in _MISSING:
        return math.nan
    if "_" in text:  # Python takes 1_000 for a number, nobody's data does
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= _LARGEST_FLOAT32 else None
