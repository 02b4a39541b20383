"""ConvNeXt (https://arxiv.org/abs/2201.03545). It normalises inside: it takes pixels in [0, 255]."""

from __future__ import annotations

from typing import Any

import keras

from zoo.vision.applications import Builder, Constructor, application_builder, drop, pool


def _before_last_normalisation(trunk: keras.Model) -> Any:
    # Keras normalises behind the pooling, and without pooling the whole map; its last layer is that normalisation.
    return trunk.layers[-1].input


def _normalise(x: Any, dropout: float) -> Any:
    return keras.layers.LayerNormalization(epsilon=1e-6, name="head_norm")(x)


def _pooled_and_normalised(x: Any, dropout: float) -> Any:
    return drop(_normalise(pool(x, "avg"), dropout), dropout)


def _convnext(constructor: Constructor, name: str) -> Builder:
    return application_builder(constructor, name, 224, trunk=_before_last_normalisation, neck=_pooled_and_normalised,
                               features=_normalise)


convnext_tiny = _convnext(keras.applications.ConvNeXtTiny, "convnext_tiny")
convnext_small = _convnext(keras.applications.ConvNeXtSmall, "convnext_small")
convnext_base = _convnext(keras.applications.ConvNeXtBase, "convnext_base")
convnext_large = _convnext(keras.applications.ConvNeXtLarge, "convnext_large")
convnext_xlarge = _convnext(keras.applications.ConvNeXtXLarge, "convnext_xlarge")
