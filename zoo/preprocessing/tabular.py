"""Columns of a table to a float vector in the graph; the same object in training and in the export."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import tensorflow as tf

from zoo.errors import ArgumentError
from zoo.spec import Column, TabularPreprocessing

_UNSEEN = -1  # tf.one_hot turns it into zeros


@final
class TabularTransform(tf.Module):  # type: ignore[misc]
    """Runs a `TabularPreprocessing`; each categorical column is a lookup table that a SavedModel tracks.

    A number that is not finite (NaN stands for a missing one) becomes the column's mean, that is 0 after
    standardisation. A category that was not in the training data, or is missing, becomes all zeros.

    Args:
        spec: What to do.

    Raises:
        ArgumentError: No columns, a name twice, a column that cannot be computed, or a shape of another size.
    """

    def __init__(self, spec: TabularPreprocessing) -> None:
        super().__init__(name="tabular_transform")
        _check(spec)
        self.spec = spec
        self.tables = {column.name: _table(column) for column in spec.columns if column.kind == "categorical"}

    @property
    def width(self) -> int:
        """Number of features of one row before it is reshaped."""
        return sum(column.width for column in self.spec.columns)

    def batch(self, columns: Mapping[str, Any]) -> Any:
        """Turns columns into the model's input.

        Args:
            columns: Per name [N]: numbers of any dtype for a numeric column, strings or integers for a categorical
                one. N may be 0. Columns that the preprocessing does not name are ignored.

        Returns:
            float32 [N, width], or [N, *shape] where the preprocessing has a shape; the columns in its order.

        Raises:
            ArgumentError: A column is missing, or has another rank or dtype.
        """
        missing = [column.name for column in self.spec.columns if column.name not in columns]
        if missing:
            raise ArgumentError(f"The table has no column {', '.join(map(repr, missing))}. It needs: "
                                f"{', '.join(column.name for column in self.spec.columns)}. "
                                f"Received: {', '.join(columns) or 'none'}.")
        # Neighbours of a kind together: a hundred numeric columns cost one product.
        groups = [(kind, list(group)) for kind, group in itertools.groupby(self.spec.columns, key=lambda c: c.kind)]
        parts = [_standardised(group, columns) if kind == "numeric" else self._one_hot(group, columns)
                 for kind, group in groups]
        rows = tf.ensure_shape(tf.concat(parts, axis=1), [None, self.width])
        return tf.reshape(rows, [-1, *self.spec.shape]) if self.spec.shape else rows

    def _one_hot(self, group: Sequence[Column], columns: Mapping[str, Any]) -> Any:
        return tf.concat([tf.one_hot(self.tables[column.name].lookup(_strings(column, columns[column.name])),
                                     column.width) for column in group], axis=1)


def _standardised(group: Sequence[Column], columns: Mapping[str, Any]) -> Any:
    values = tf.stack([_numbers(column, columns[column.name]) for column in group], axis=1)
    mean = tf.constant([column.mean for column in group], tf.float32)
    # A difference and a product of constants: the last bit is the same eagerly and in an optimised graph.
    inverse = tf.constant([1.0 / column.std for column in group], tf.float32)
    return (tf.where(tf.math.is_finite(values), values, mean) - mean) * inverse


def _numbers(column: Column, values: Any) -> Any:
    tensor = tf.convert_to_tensor(values)
    if tensor.dtype == tf.string:
        raise ArgumentError(f"The column {column.name!r} must hold numbers. Received: strings. Convert them first; an "
                            "empty field becomes NaN.")
    return tf.cast(_vector(column, tensor), tf.float32)


def _strings(column: Column, values: Any) -> Any:
    tensor = tf.convert_to_tensor(values)
    if tensor.dtype.is_floating:
        raise ArgumentError(f"The column {column.name!r} must hold categories as strings or integers. Received: "
                            f"{tensor.dtype.name}.")
    vector = _vector(column, tensor)
    return vector if tensor.dtype == tf.string else tf.strings.as_string(vector)


def _vector(column: Column, tensor: Any) -> Any:
    if not tensor.shape.is_compatible_with([None]):
        raise ArgumentError(f"The column {column.name!r} must have the shape [N], one value per row. "
                            f"Received: {tensor.shape}.")
    return tf.ensure_shape(tensor, [None])


def _table(column: Column) -> Any:
    keys = tf.constant(list(column.categories), tf.string)
    values = tf.range(len(column.categories), dtype=tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), default_value=_UNSEEN,
                                     name="categories")


def _check(spec: TabularPreprocessing) -> None:
    names = [column.name for column in spec.columns]
    if not names:
        raise ArgumentError("The preprocessing of a table needs at least one column. Received: none.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ArgumentError(f"Each column may be named once. Received twice: {twice[0]!r}")
    for column in spec.columns:
        _check_column(column)
    width = sum(column.width for column in spec.columns)
    if spec.shape and math.prod(spec.shape) != width:
        raise ArgumentError(f"`shape` must have as many values as the columns have features, {width}. "
                            f"Received: {spec.shape}, which is {math.prod(spec.shape)}.")


def _check_column(column: Column) -> None:
    if column.kind == "numeric" and not (math.isfinite(column.mean) and math.isfinite(column.std) and column.std > 0):
        raise ArgumentError(f"The column {column.name!r} needs a finite mean and a positive std. "
                            f"Received: mean {column.mean}, std {column.std}.")
    if column.kind == "categorical" and not 0 < len(set(column.categories)) == len(column.categories):
        raise ArgumentError(f"The column {column.name!r} needs at least one category and none twice. "
                            f"Received: {column.categories}")
