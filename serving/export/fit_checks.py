"""Whether the preprocessing of a record and the model that it belongs to fit together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from serving.errors import ExportError
from serving.export.raw_inputs import reads_pairs, reads_texts
from serving.export.servable_module import Forward
from zoo.preprocessing.transform import Transform
from zoo.spec import ImagePreprocessing, ModelRecord, TensorPreprocessing


def check_fit(forward: Forward, transform: Transform, record: ModelRecord) -> None:
    """Checks that what the transform makes is what the model takes.

    Raises:
        ExportError: It makes other tensors than the model takes, other shapes, or longer rows than it reads.
    """
    if isinstance(record.preprocessing, TensorPreprocessing):
        return
    made = _made(transform, record)
    if not isinstance(made, Mapping):
        _check_single(forward, made, record)
        return
    missing = sorted(set(forward.inputs) - set(made))
    if missing:
        raise ExportError(f"The {record.preprocessing.kind} preprocessing makes {', '.join(sorted(made))}, and the "
                          f"model takes {', '.join(forward.inputs)}. Name the model's inputs alike, or give it a "
                          "record with TensorPreprocessing().")
    for name, spec in forward.inputs.items():
        _check_shape(name, spec, made[name], record)
    _check_length(forward, record)


def _made(transform: Any, record: ModelRecord) -> Any:
    """Shapes without the batch axis: one, or by input name."""
    preprocessing: Any = record.preprocessing
    if isinstance(preprocessing, ImagePreprocessing):
        return [preprocessing.height, preprocessing.width, preprocessing.channels]
    if not reads_texts(record):
        return list(preprocessing.shape) or [transform.width]
    made = transform.batch(*[tf.constant([""])] * (2 if reads_pairs(record) else 1))
    if isinstance(made, Mapping):  # rows as long as the longest text
        return {name: [None, *tensor.shape[2:]] for name, tensor in made.items()}
    return made.shape.as_list()[1:]


def _check_single(forward: Forward, made: list[int | None], record: ModelRecord) -> None:
    if len(forward.inputs) != 1:
        raise ExportError(f"The {record.preprocessing.kind} preprocessing makes one tensor, and the model takes "
                          f"{len(forward.inputs)}: {', '.join(forward.inputs)}. Give it a record "
                          "with TensorPreprocessing().")
    (name, spec), = forward.inputs.items()
    _check_shape(name, spec, made, record)


def _check_shape(name: str, spec: Any, made: list[int | None], record: ModelRecord) -> None:
    wanted = spec.shape[1:].as_list()
    open_against_fixed = any(size is None and other is not None for size, other in zip(made, wanted, strict=False))
    if not spec.shape[1:].is_compatible_with(made) or open_against_fixed:
        raise ExportError(f"The {record.preprocessing.kind} preprocessing makes tensors of shape {made}, and the "
                          f"model's input {name!r} has {wanted} (without the batch axis; None is any size). "
                          "Export with the record that belongs to this model.")


def _check_length(forward: Forward, record: ModelRecord) -> None:
    longest: int = getattr(record.preprocessing, "max_length", 0)
    if forward.longest is not None and longest > forward.longest:
        raise ExportError(f"The preprocessing gives up to {longest} tokens (`max_length`), and the model reads "
                          f"{forward.longest}. Give it a record with max_length={forward.longest} or less.")
