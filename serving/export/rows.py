"""Rows of inputs for the optimiser: those that a rewritten graph is compared on, those that ranges are learned of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import ExportError
from serving.export.raw_inputs import reads_texts
from serving.export.reference import transformed
from serving.export.samples import Samples, make_samples
from serving.export.servable_module import Forward
from zoo.preprocessing.transform import Transform
from zoo.spec import ModelRecord

Array = NDArray[Any]
Rows = Mapping[str, Array]

_ROWS_AT_ONCE = 8
# Of a split, which may be large; ranges hardly change after some hundred rows.
_MOST_ROWS_OF_A_SPLIT = 256
_SEED = 20240229


def compared_rows(record: ModelRecord, transform: Transform, inputs: Forward, samples: Any) -> list[Rows]:
    """The sets of rows on which a rewritten graph is compared: the samples that golden vectors are made of.

    Args:
        record: The model's.
        transform: Its preprocessing.
        inputs: What it takes.
        samples: The user's, see `export_model`; None for made ones.
    """
    rows = make_samples(inputs, record, samples, transform)
    sets: list[Rows] = [rows.tensors]
    if rows.raw and not reads_texts(record):
        sets.append(_prepared(record, transform, inputs, rows))
    return sets


def learned_rows(record: ModelRecord, transform: Transform, inputs: Forward, calibration: Any) -> list[Rows]:
    """What a user gave to learn ranges of, as the model takes it, in sets small enough to compute on at once.

    Args:
        record: The model's.
        transform: Its preprocessing.
        inputs: What it takes.
        calibration: Like samples, or a part of a dataset (`zoo.data.labelled.Split`), of which up to 256 examples are
            drawn; None for nothing.

    Raises:
        ExportError: It is of another kind.
    """
    if calibration is None:
        return []
    if hasattr(calibration, "batches"):
        return _of_split(inputs, calibration)
    rows = make_samples(inputs, record, calibration, transform)
    arrays = _prepared(record, transform, inputs, rows) if rows.raw and not reads_texts(record) else rows.tensors
    count = len(next(iter(arrays.values())))
    return [{name: array[start:start + _ROWS_AT_ONCE] for name, array in arrays.items()}
            for start in range(0, count, _ROWS_AT_ONCE)]


def by_name(names: Sequence[str], given: Any) -> dict[str, Any]:
    """The inputs of a split's batch, one tensor, several or several by name, by the model's pinned names.

    Args:
        names: The pinned names, in order.
        given: The inputs.

    Raises:
        ExportError: They are more or fewer than the model takes.
    """
    if isinstance(given, Mapping):
        values = [given[name] for name in (names if set(given) == set(names) else given)]
    else:
        values = list(given) if isinstance(given, tuple | list) else [given]
    if len(values) != len(names):
        raise ExportError(f"The model takes {', '.join(names)}, and the examples have {len(values)} inputs. Read them "
                          "with the model's own preprocessing.")
    return dict(zip(names, values, strict=True))


def _of_split(inputs: Forward, split: Any) -> list[Rows]:
    """Examples in another order than the split's, where those of one class may stand together."""
    sets: list[Rows] = []
    for batch, _ in split.batches(_ROWS_AT_ONCE, shuffle_seed=_SEED).take(_MOST_ROWS_OF_A_SPLIT // _ROWS_AT_ONCE):
        sets.append({name: np.asarray(value).astype(inputs.inputs[name].dtype.as_numpy_dtype)
                     for name, value in by_name(list(inputs.inputs), batch).items()})
    if not sets:
        raise ExportError("`calibration` has no examples. Give some hundred, or leave it out.")
    return sets


def _prepared(record: ModelRecord, transform: Transform, inputs: Forward, rows: Samples) -> dict[str, Array]:
    return dict(zip(inputs.inputs, transformed(transform, record, inputs, rows), strict=True))
