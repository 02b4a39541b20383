"""Tables of numbers and categories (CSV, TSV, JSON lines) as labelled data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data.labelled import Examples, LabelledData
from zoo.data.planning import plan_split
from zoo.data.rows import RowIndex, open_rows
from zoo.data.splitting import SplitFractions
from zoo.data.table_layout import ColumnKind, TableLayout, TableTask, is_header, parsed_number, table_layout
from zoo.data.table_scan import found_rows, scan_table
from zoo.errors import ArgumentError
from zoo.preprocessing.table_fitting import TableFitter
from zoo.preprocessing.tabular import TabularTransform
from zoo.spec import TabularPreprocessing

_TASKS = ("classification", "binary_classification", "regression")
_READ_AT_ONCE = 1024


def load_table(path: str | Path, target: str | int | Sequence[str | int], *, task: TableTask,
               columns: Sequence[str | int] | Mapping[str, ColumnKind] | None = None, shape: Sequence[int] = (),
               preprocessing: TabularPreprocessing | None = None, header: bool | None = None,
               validation_fraction: float = 0.15, test_fraction: float = 0.15, seed: int = 0,
               keep_duplicates: bool = True, labels: Sequence[str] | None = None) -> LabelledData:
    """Checks and splits a table; its rows are read from the file as training goes on.

    An empty field (or NA, NaN, null, None, ?) of a numeric column is a missing number and becomes the column's mean,
    as it does in a served model; a field that is anything else but a finite number excludes its row, which is
    reported. Memory holds less than 100 bytes per row, and 4 per target.

    Args:
        path: A CSV (separated by commas or semicolons), TSV or JSON lines file, or a folder with train.csv and at
            will validation (val, dev) and test files beside it: then this split is kept.
        target: Name or position of the column to predict; several for a regression of several numbers.
        task: "regression" reads the target as numbers, "classification" and "binary_classification" as labels.
        columns: Columns to predict from, by name or position, or names with their kind; None takes all but the
            target. A column of unknown kind is numeric if at least half of its first 1000 fields are numbers.
        shape: What a row of features is reshaped to, such as (steps, features) for a sequence.
        preprocessing: Means, standard deviations and categories to use; None, or one without columns, learns them
            from the training part only.
        header: Whether the first row holds column names; None finds out: it does if it names the target, or none of
            its fields is a number. Without a header the columns are called "0", "1" ...
        validation_fraction: Fraction in [0, 1) to choose by, of each class where there are classes.
        test_fraction: Fraction in [0, 1) to judge by, of each class where there are classes.
        seed: Chooses the examples of the parts; see `zoo.data.splitting` for what the split depends on.
        keep_duplicates: Uses rows of equal features nevertheless, as the default, for measurements may well be equal;
            those of one class come into the same part of the split. For a regression the target counts as well.
        labels: Class names to use, in the order of the class index; None for all.

    Returns:
        Inputs float32 [B, width] or [B, *shape], targets int32 [B] or float32 [B, number of targets]; `preprocessing`
        of the result has what was learnt.

    Raises:
        ArgumentError: An argument out of range, or a shape of another size than the features.
        DataError: A missing or empty file, a target that is not numeric, too few classes or examples.
        UnknownNameError: No such column.
    """
    if task not in _TASKS:
        raise ArgumentError(f"`task` must be one of {', '.join(_TASKS)}. Received: {task!r}")
    fractions = SplitFractions(validation=validation_fraction, test=test_fraction, seed=seed)
    targets = [target] if isinstance(target, str | int) else list(target)
    if not targets or (len(targets) > 1 and task != "regression"):
        raise ArgumentError(f"`target` must be one column for {task}, or one or more for regression. "
                            f"Received: {targets}")
    if preprocessing is not None and not preprocessing.columns:
        shape = shape or preprocessing.shape
        preprocessing = None
    files = open_rows(path, lambda fields: is_header(fields, targets), header)
    layout = table_layout(files[0], targets, task, columns, preprocessing)
    rows = RowIndex(files)
    found, kept = found_rows(scan_table(rows, layout), layout, Path(path), labels)
    plan = plan_split(found, fractions, keep_duplicates=keep_duplicates)

    def read(indices: np.ndarray) -> dict[str, np.ndarray]:
        return _parsed(rows.read(kept[indices], layout.features), layout)

    fitted = preprocessing or _fitted(read, plan.train, shape)
    examples = Examples(load=_loading(read, fitted), batched=True, targets=found.targets, names=found.names)
    return plan.labelled(examples, fitted)


def _parsed(rows: Sequence[Sequence[str]], layout: TableLayout) -> dict[str, np.ndarray]:
    """Returns rows of features as columns: float32 [n], or strings [n] for categories."""
    columns: dict[str, np.ndarray] = {}
    for position, (name, kind) in enumerate(zip(layout.names, layout.kinds, strict=True)):
        fields = [row[position].strip() for row in rows]
        columns[name] = (np.array([parsed_number(text) for text in fields], np.float32) if kind == "numeric"
                         else np.array([text.encode("utf-8") for text in fields], object))
    return columns


def _fitted(read: Callable[[np.ndarray], dict[str, np.ndarray]], train: np.ndarray,
            shape: Sequence[int]) -> TabularPreprocessing:
    fitter = TableFitter(shape=shape)
    for start in range(0, len(train), _READ_AT_ONCE):
        fitter.update(read(train[start:start + _READ_AT_ONCE]))
    return fitter.finish()


def _loading(read: Callable[[np.ndarray], dict[str, np.ndarray]],
             preprocessing: TabularPreprocessing) -> Callable[[Any], Any]:
    transform = TabularTransform(preprocessing)
    names = [column.name for column in preprocessing.columns]
    types = [tf.float32 if column.kind == "numeric" else tf.string for column in preprocessing.columns]

    def load(indices: Any) -> Any:
        values = tf.numpy_function(lambda wanted: list(read(wanted).values()), [indices], types, stateful=False)
        return transform.batch({name: tf.ensure_shape(value, [None])
                                for name, value in zip(names, values, strict=True)})

    return load
