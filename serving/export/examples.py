"""tf.Example: which features the `classify` and `regress` signatures read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from serving.export.raw_inputs import PAIR_INPUT, TEXT_INPUT
from zoo.spec import TEXT_PREPROCESSING, ImagePreprocessing, Preprocessing, TabularPreprocessing

IMAGE_FEATURE = "image/encoded"
# Where a feature is not called like the raw signature's input.
FEATURE_OF_INPUT = {"image_bytes": IMAGE_FEATURE}


def feature_spec(preprocessing: Preprocessing, tensors: Mapping[str, Any]) -> dict[str, Any] | str:
    """What to read from a serialized tf.Example.

    Args:
        preprocessing: The model's.
        tensors: The model's own inputs as tf.TensorSpec [N, ...] by name, for a model that takes tensors.

    Returns:
        Parsing rules by feature name, or why the model's inputs do not fit into a tf.Example.
    """
    if isinstance(preprocessing, ImagePreprocessing):
        return {IMAGE_FEATURE: tf.io.FixedLenFeature([], tf.string)}
    if isinstance(preprocessing, TEXT_PREPROCESSING):
        names = [TEXT_INPUT, PAIR_INPUT] if getattr(preprocessing, "pair", False) else [TEXT_INPUT]
        return {name: tf.io.FixedLenFeature([], tf.string) for name in names}
    if isinstance(preprocessing, TabularPreprocessing):
        return {column.name: tf.io.FixedLenFeature([], tf.float32 if column.kind == "numeric" else tf.string)
                for column in preprocessing.columns}
    return _tensor_features(tensors)


def _tensor_features(tensors: Mapping[str, Any]) -> dict[str, Any] | str:
    open_ended = [name for name, spec in tensors.items() if not spec.shape[1:].is_fully_defined()]
    if open_ended:
        return (f"input {open_ended[0]!r} has an axis of any size, and a tf.Example holds a flat list of numbers, "
                "from which that size cannot be told")
    return {name: tf.io.FixedLenFeature(spec.shape[1:], tf.float32 if spec.dtype.is_floating else tf.int64)
            for name, spec in tensors.items()}
