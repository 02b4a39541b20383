"""A head on top of a module of TF Hub: image feature vectors, text embeddings, or vectors of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from zoo.errors import ArgumentError
from zoo.layers.dense_head import dense_head
from zoo.layers.hub_layer import HubLayer

_OUTPUTS = ("default", "pooled_output")  # what modules with several outputs call the one for a head


def hub(*, handle: str = "", sha256: str = "", preprocessor: str = "", preprocessor_sha256: str = "",
        input_kind: str = "", input_shape: tuple[int | None, ...] | None = None, task: str = "classification",
        num_classes: int = 2, outputs: int = 1, include_top: bool = True, trainable: bool = False,
        output_key: str | None = None, signature: str | None = None, tags: tuple[str, ...] | None = None,
        dropout: float = 0.0, classifier_activation: str | None = "softmax") -> keras.Model:
    """Builds a model around a SavedModel of TF Hub, with a head `predictions` of its own.

    Args:
        handle: The module; see `zoo.layers.HubLayer`. `zoo.build("hub", weights=...)` sets it.
        sha256: What the module's content must be.
        preprocessor: A second module, which turns texts into what the first one takes (BERT encoders of TF Hub).
        preprocessor_sha256: What its content must be.
        input_kind: "image", "text" or "tensor"; `zoo.build` finds it in the module.
        input_shape: Shape of one input without the batch axis: (height, width, channels) of a picture with values in
            [0, 1], () of a text, (numbers,) of a vector.
        task: "classification", "regression" or "embedding" (the module's vector as it is).
        num_classes: Size of the class axis.
        outputs: Values of a regression.
        include_top: Whether the head is built; without it the model returns the module's vector [N, D].
        trainable: Whether training changes the module too, not only the head.
        output_key: The output to take where the module has several.
        signature: A signature to call in place of the module itself.
        tags: Tags of the graph, where the SavedModel has several.
        dropout: Fraction of the vector that is dropped in training, in [0, 1).
        classifier_activation: Activation of the head of a classifier.

    Returns:
        The model; its input is `image`, `text` or `features`, its module the layer `module`.

    Raises:
        ArgumentError: No module, or one whose outputs fit no head.
        ChecksumError: The module is not the promised one.
        WeightsError: The module cannot be fetched or is refused.
    """
    if not handle:
        raise ArgumentError("The model `hub` is built around a module. Name it: weights=\"tfhub:PUBLISHER/MODEL/"
                            "VERSION\", a folder or an archive.")
    name, dtype = {"image": ("image", "float32"), "text": ("text", "string")}.get(input_kind, ("features", "float32"))
    inputs = keras.Input(tuple(input_shape or ()), dtype=dtype, name=name)
    tensors = inputs
    if preprocessor:
        tensors = HubLayer(preprocessor, sha256=preprocessor_sha256, name="preprocessor")(tensors)
    module = HubLayer(handle, sha256=sha256, trainable=trainable, signature=signature, tags=tags, name="module")
    vector = _vector(module(tensors), output_key, handle)
    if not include_top or task == "embedding":
        return keras.Model(inputs, vector, name="hub")
    if dropout:
        vector = keras.layers.Dropout(dropout, name="dropout")(vector)
    if task == "regression":
        return keras.Model(inputs, dense_head(vector, outputs, units_name="outputs"), name="hub")
    return keras.Model(inputs, dense_head(vector, num_classes, activation=classifier_activation), name="hub")


def _vector(found: Any, output_key: str | None, handle: str) -> Any:
    """Chooses the module's output for a head, and makes it a vector per example."""
    if isinstance(found, Mapping):
        keys = [output_key] if output_key else [*(name for name in _OUTPUTS if name in found), *found]
        if keys[0] not in found or (not output_key and keys[0] not in _OUTPUTS and len(found) > 1):
            raise ArgumentError(f"The module {handle!r} has several outputs. Choose one with output_key=...: "
                                f"{', '.join(found)}.")
        found = found[keys[0]]
    if not hasattr(found, "shape") or len(found.shape) not in (2, 4):
        shape = getattr(found, "shape", f"a {type(found).__name__}")
        raise ArgumentError(f"The module {handle!r} returns {shape}, and a head takes one vector per example [N, D]. "
                            "Choose another output with output_key=..., or build a model with zoo.layers.HubLayer.")
    if len(found.shape) == 4:  # a map of features
        return keras.layers.GlobalAveragePooling2D(name="pooling")(found)
    return found
