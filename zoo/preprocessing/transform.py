"""From a preprocessing record to the object that runs it."""

from __future__ import annotations

from typing import Any, final

import tensorflow as tf

from zoo.errors import ArgumentError
from zoo.preprocessing.byte_pair import BytePairTransform
from zoo.preprocessing.image import ImageTransform
from zoo.preprocessing.tabular import TabularTransform
from zoo.preprocessing.text import TextTransform
from zoo.preprocessing.whole_text import StringTransform
from zoo.preprocessing.wordpiece import WordPieceTransform
from zoo.preprocessing_spec import BytePairPreprocessing, StringPreprocessing, WordPiecePreprocessing
from zoo.spec import (
    ImagePreprocessing,
    Preprocessing,
    TabularPreprocessing,
    TensorPreprocessing,
    TextPreprocessing,
)


@final
class TensorTransform(tf.Module):  # type: ignore[misc]
    """Runs a `TensorPreprocessing`: the model takes tensors as they are.

    Args:
        spec: What to do.
    """

    def __init__(self, spec: TensorPreprocessing) -> None:
        super().__init__(name="tensor_transform")
        self.spec = spec

    def batch(self, tensors: Any) -> Any:
        """Returns numbers [N, ...] of any dtype as float32 [N, ...]."""
        return tf.cast(tensors, tf.float32)


Transform = (ImageTransform | TextTransform | WordPieceTransform | BytePairTransform | StringTransform
             | TabularTransform | TensorTransform)


def transform_for(preprocessing: Preprocessing) -> Transform:
    """Returns the runtime object of a preprocessing.

    Args:
        preprocessing: The record, such as `record_of(model).preprocessing`.

    Returns:
        A tf.Module; as an attribute of the exported tf.Module it brings its tables along.

    Raises:
        ArgumentError: Something that is no preprocessing, or a tokenizer without its vocabulary.
        MissingDependencyError: A package that it needs is not installed.
    """
    if isinstance(preprocessing, ImagePreprocessing):
        return ImageTransform(preprocessing)
    if isinstance(preprocessing, TextPreprocessing):
        return TextTransform(preprocessing)
    if isinstance(preprocessing, WordPiecePreprocessing):
        return WordPieceTransform(preprocessing)
    if isinstance(preprocessing, BytePairPreprocessing):
        return BytePairTransform(preprocessing)
    if isinstance(preprocessing, StringPreprocessing):
        return StringTransform(preprocessing)
    if isinstance(preprocessing, TabularPreprocessing):
        return TabularTransform(preprocessing)
    if isinstance(preprocessing, TensorPreprocessing):
        return TensorTransform(preprocessing)
    raise ArgumentError("Expected an ImagePreprocessing, TextPreprocessing, WordPiecePreprocessing, "
                        "BytePairPreprocessing, StringPreprocessing, TabularPreprocessing or "
                        f"TensorPreprocessing. Received: {preprocessing!r}")
