"""VGG (https://arxiv.org/abs/1409.1556): its head flattens the feature map, so its parameters fix the picture size."""

from __future__ import annotations

from typing import Any

import keras

from zoo.vision.applications import application_builder, drop


def _two_dense_layers(x: Any, dropout: float) -> Any:
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(4096, activation="relu", name="fc1")(x)
    return drop(keras.layers.Dense(4096, activation="relu", name="fc2")(x), dropout)


vgg16 = application_builder(keras.applications.VGG16, "vgg16", 224, neck=_two_dense_layers, fixed_size=True)
vgg19 = application_builder(keras.applications.VGG19, "vgg19", 224, neck=_two_dense_layers, fixed_size=True)
