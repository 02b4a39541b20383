"""MobileNet V2 (https://arxiv.org/abs/1801.04381) and V3 (https://arxiv.org/abs/1905.02244).

MobileNet V3 normalises inside: it takes pixels in [0, 255]. Its head is made of 1 x 1 convolutions; the layer with the
classes' parameters is called "logits", and "predictions" behind it only applies the activation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from zoo.layers.dense_head import head_dtype
from zoo.vision.applications import application_builder, drop

mobilenet_v2 = application_builder(keras.applications.MobileNetV2, "mobilenet_v2", 224)


def _pointwise_neck(channels: int) -> Callable[[Any, float], Any]:
    def neck(x: Any, dropout: float) -> Any:
        x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="avg_pool")(x)
        x = keras.layers.Conv2D(channels, 1, padding="same", name="conv_2")(x)
        return drop(keras.layers.Activation("hard_swish", name="conv_2_act")(x), dropout)
    return neck


def _pointwise_classifier(x: Any, num_classes: int, activation: str | None) -> Any:
    x = keras.layers.Conv2D(num_classes, 1, padding="same", name="logits")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.layers.Activation(activation, dtype=head_dtype(), name="predictions")(x)


mobilenet_v3_small = application_builder(
    keras.applications.MobileNetV3Small, "mobilenet_v3_small", 224, dropout=0.2,
    neck=_pointwise_neck(1024), classifier=_pointwise_classifier)
mobilenet_v3_large = application_builder(
    keras.applications.MobileNetV3Large, "mobilenet_v3_large", 224, dropout=0.2,
    neck=_pointwise_neck(1280), classifier=_pointwise_classifier)
