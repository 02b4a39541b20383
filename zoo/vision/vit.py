"""Vision Transformer (https://arxiv.org/abs/2010.11929): the backbone comes from keras-hub, the head from here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from zoo.errors import ArgumentError, MissingDependencyError
from zoo.layers.arguments import check_choice, check_rate, image_shape
from zoo.layers.dense_head import dense_head
from zoo.layers.sequence_pooling import SequencePooling
from zoo.layers.take_step import TakeStep

try:
    import keras_hub
except ImportError:
    keras_hub = None  # builders raise MissingDependencyError

POOLINGS = (None, "token", "avg", "max")


def _vit(name: str, *, layers: int, heads: int, width: int, mlp_width: int, patch: int = 16,
         size: int = 224) -> Callable[..., keras.Model]:
    def build(*, num_classes: int = 1000, include_top: bool = True, pooling: str | None = None,
              input_shape: tuple[int, int, int] | None = None, classifier_activation: str | None = "softmax",
              dropout: float = 0.0, attention_dropout: float = 0.0) -> keras.Model:
        if keras_hub is None:
            raise MissingDependencyError("keras-hub", "hub", f"Building {name}")
        shape = image_shape(input_shape, (size, size, 3), minimum=patch, fixed=True)
        if any(side is None or side % patch for side in shape[:2]):
            raise ArgumentError(f"Height and width in `input_shape` must be multiples of the patch size, {patch} "
                                f"pixels. Received: {shape}")
        image = keras.Input(shape, name="image")
        backbone = keras_hub.models.ViTBackbone(
            image_shape=shape, patch_size=(patch, patch), num_layers=layers, num_heads=heads, hidden_dim=width,
            mlp_dim=mlp_width, dropout_rate=check_rate("dropout", dropout),
            attention_dropout=check_rate("attention_dropout", attention_dropout), name="backbone")
        tokens = backbone(image)  # [N, 1 + patches, width], the class token first
        if not include_top:
            return keras.Model(image, _pool(tokens, pooling), name=name)
        x = _pool(tokens, "token")
        if dropout:
            x = keras.layers.Dropout(dropout, name="top_dropout")(x)
        return keras.Model(image, dense_head(x, num_classes, activation=classifier_activation), name=name)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"""Builds {name}; needs keras-hub.

    Args:
        num_classes: Number of classes.
        include_top: Whether the classification head is built; without it the model returns features.
        pooling: Without a head: None returns all tokens, "token" the class token, "avg" or "max" over all tokens.
        input_shape: (height, width, channels), multiples of {patch} pixels; ({size}, {size}, 3) by default. Another
            size has other position embeddings, so published weights do not fit it.
        classifier_activation: Keras name of the head's activation; None or "linear" returns logits.
        dropout: Fraction dropped behind each block and in front of the head while training, in [0, 1).
        attention_dropout: Fraction of the attention weights dropped while training, in [0, 1).

    Returns:
        Uncompiled model from "image" float [N, height, width, channels] to "predictions" float [N, num_classes], or
        to features float [N, 1 + patches, {width}] or [N, {width}].

    Raises:
        ArgumentError: An argument out of its range.
        MissingDependencyError: keras-hub is not installed.
    """
    return build


def _pool(tokens: Any, pooling: str | None) -> Any:
    check_choice("pooling", pooling, POOLINGS)
    if pooling is None:
        return tokens
    if pooling == "token":
        return TakeStep(0, name="class_token")(tokens)
    return SequencePooling(pooling, name=f"{pooling}_pool")(tokens)


vit_base_patch16_224 = _vit("vit_base_patch16_224", layers=12, heads=12, width=768, mlp_width=3072)
vit_large_patch16_224 = _vit("vit_large_patch16_224", layers=24, heads=16, width=1024, mlp_width=4096)
