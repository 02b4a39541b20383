"""Learning a `TabularPreprocessing` from a table, whole or in chunks, with NumPy alone.

Numbers that are not finite are left out of mean and standard deviation; an empty or missing category is no category.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from zoo.errors import ArgumentError, DataError
from zoo.spec import Column, TabularPreprocessing

DEFAULT_MAX_CATEGORIES = 1000

# A spread below float32's resolution at the mean is rounding noise, not information.
_FLOAT32_RESOLUTION = float(np.finfo(np.float32).eps)

_Kind = Literal["numeric", "categorical"]


def fit_table(columns: Mapping[str, Any], *, shape: Sequence[int] = (), categorical: Iterable[str] = (),
              max_categories: int = DEFAULT_MAX_CATEGORIES) -> TabularPreprocessing:
    """Learns means, standard deviations and categories from a table in memory.

    Args:
        columns: Per name the values, [N]: numbers and bools make a numeric column, strings a categorical one.
        shape: What a row of features is reshaped to, such as (steps, features); empty for a flat row.
        categorical: Names of columns of integers that are categories all the same.
        max_categories: The most different values of one categorical column.

    Returns:
        The preprocessing; columns in the order of the mapping, categories sorted.

    Raises:
        ArgumentError: A name in `categorical` that is no column, or `max_categories` below 1.
        DataError: No rows, columns of different lengths, or a column that cannot be learnt.
    """
    return TableFitter(shape=shape, categorical=categorical, max_categories=max_categories).update(columns).finish()


class TableFitter:
    """Learns the same as `fit_table` from chunks of rows; the memory does not grow with their number.

    Args:
        shape: As for `fit_table`.
        categorical: As for `fit_table`.
        max_categories: As for `fit_table`.
    """

    def __init__(self, *, shape: Sequence[int] = (), categorical: Iterable[str] = (),
                 max_categories: int = DEFAULT_MAX_CATEGORIES) -> None:
        if max_categories < 1:
            raise ArgumentError(f"`max_categories` must be at least 1. Received: {max_categories}")
        if isinstance(categorical, str):
            raise ArgumentError(f"`categorical` must be several names. Received one string: {categorical!r}")
        self._shape = tuple(shape)
        self._categorical = frozenset(categorical)
        self._max_categories = max_categories
        self._names: tuple[str, ...] = ()
        self._columns: dict[str, _Moments | _Categories] = {}

    def update(self, columns: Mapping[str, Any]) -> TableFitter:
        """Takes the next rows in.

        Args:
            columns: Per name the values, [n], with the same names and kinds in every chunk.

        Returns:
            Itself.

        Raises:
            ArgumentError: A name in `categorical` that is no column.
            DataError: Columns that do not fit each other or the earlier chunks.
        """
        arrays = {name: np.asarray(values) for name, values in columns.items()}
        self._check_chunk(arrays)
        self._names = tuple(arrays) if not self._names else self._names
        for name, values in arrays.items():
            kind = "categorical" if name in self._categorical else _kind_of(name, values)
            if kind is not None:  # else nothing but missing values so far
                self._take(name, values, kind)
        return self

    def finish(self) -> TabularPreprocessing:
        """Returns what was learnt.

        Raises:
            DataError: There were no rows, or a column without any value.
        """
        if not self._names:
            raise DataError("The table has no columns. Expected at least one column with rows.")
        empty = [name for name in self._names if name not in self._columns]
        if empty:
            raise DataError(f"The column {empty[0]!r} has no values, or missing ones only. Fill it or leave it out.")
        return TabularPreprocessing(columns=tuple(self._columns[name].finish(name) for name in self._names),
                                    shape=self._shape)

    def _take(self, name: str, values: Any, kind: _Kind) -> None:
        column = self._columns.setdefault(name, _Moments() if kind == "numeric" else _Categories())
        if column.kind != kind:
            raise DataError(f"The column {name!r} was {column.kind} and is {kind} now. Expected one kind in all "
                            "rows. Convert it, or name it in `categorical`.")
        column.update(name, values, self._max_categories)

    def _check_chunk(self, arrays: Mapping[str, Any]) -> None:
        unknown = sorted(self._categorical - set(arrays))
        if unknown:
            raise ArgumentError(f"`categorical` names {unknown[0]!r}, which is no column. The table has: "
                                f"{', '.join(arrays)}.")
        if self._names and set(arrays) != set(self._names):
            raise DataError(f"Every chunk must have the columns {sorted(self._names)}. Received: {sorted(arrays)}")
        for name, values in arrays.items():
            if values.ndim != 1:
                raise DataError(f"The column {name!r} must have the shape [N]. Received: {values.shape}.")
        lengths = {name: len(values) for name, values in arrays.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"All columns must have the same number of rows. Received: {lengths}")


@dataclass
class _Moments:
    """Count, mean and sum of squared differences from it, merged chunk by chunk (Chan's formula)."""

    kind: _Kind = "numeric"
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def update(self, name: str, values: Any, max_categories: int) -> None:
        numbers = np.asarray(values, np.float64)
        numbers = numbers[np.isfinite(numbers)]
        if not numbers.size:
            return
        mean = float(numbers.mean())
        total = self.count + numbers.size
        shift = mean - self.mean
        self.squares += float(np.square(numbers - mean).sum()) + shift**2 * self.count * numbers.size / total
        self.mean += shift * numbers.size / total
        self.count = total

    def finish(self, name: str) -> Column:
        if not self.count:
            raise DataError(f"The column {name!r} has no finite number. Fill it or leave it out.")
        std = math.sqrt(self.squares / self.count)
        is_constant = std <= abs(self.mean) * _FLOAT32_RESOLUTION
        return Column(name=name, kind="numeric", mean=self.mean, std=1.0 if is_constant else std)


@dataclass
class _Categories:
    """How often each category came."""

    kind: _Kind = "categorical"
    counts: Counter[str] = field(default_factory=Counter)

    def update(self, name: str, values: Any, max_categories: int) -> None:
        if values.dtype.kind == "f":
            raise DataError(f"The column {name!r} holds decimal numbers, which cannot be categories. Convert them to "
                            "strings or integers.")
        self.counts.update(text for text in map(_category, values.tolist()) if text)
        if len(self.counts) > max_categories:
            raise DataError(f"The column {name!r} has more than {max_categories} categories, such as "
                            f"{sorted(self.counts)[:3]}. If it is an identifier or free text, leave it out; otherwise "
                            "raise `max_categories`.")

    def finish(self, name: str) -> Column:
        if not self.counts:
            raise DataError(f"The column {name!r} has no category, only missing values. Fill it or leave it out.")
        return Column(name=name, kind="categorical", categories=tuple(sorted(self.counts)))


def _kind_of(name: str, values: Any) -> _Kind | None:
    """Returns the kind of a column, None where there is no value to tell it by."""
    present = [value for value in values.tolist() if value is not None] if values.dtype.kind == "O" else values
    if not len(present):
        return None
    if values.dtype.kind in "biuf":
        return "numeric"
    if values.dtype.kind in "US":
        return "categorical"
    if all(isinstance(value, int | float) for value in present):
        return "numeric"
    if any(isinstance(value, int | float) and not _is_nan(value) for value in present):
        raise DataError(f"The column {name!r} mixes numbers and text. Expected one kind. Convert it.")
    return "categorical"


def _category(value: Any) -> str:
    """Returns the category's name, empty for a missing value."""
    if value is None or _is_nan(value):
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
