"""EfficientNet (https://arxiv.org/abs/1905.11946) and V2 (https://arxiv.org/abs/2104.00298).

Both normalise inside: they take pixels in [0, 255]. Keras builds EfficientNet B0 to B7 differently for its published
weights than for random ones (a further division of the pixels by the square root of ImageNet's standard deviation,
because the files hold the deviation where a variance belongs). Here both are built alike, so that the published files
can be loaded into a model that is there already, and a model with random weights sees normalised pixels too.
"""

from __future__ import annotations

import math
from typing import Any

import keras

from zoo.layers.stored_normalization import StoredNormalization
from zoo.vision.applications import Builder, Constructor, application_builder

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def _with_stored_normalization(trunk: keras.Model) -> Any:
    def replace(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, keras.layers.Normalization):
            return layer.__class__.from_config(layer.get_config())
        if trunk.input_shape[-1] != 3:
            return StoredNormalization(name="normalization")
        return StoredNormalization(IMAGENET_MEAN, IMAGENET_DEVIATION, name="normalization",
                                   scale=[1.0 / math.sqrt(deviation) for deviation in IMAGENET_DEVIATION])

    return keras.models.clone_model(trunk, input_tensors=trunk.input, clone_function=replace).output


def _first_generation(constructor: Constructor, name: str, size: int, dropout: float) -> Builder:
    return application_builder(constructor, name, size, dropout=dropout, trunk=_with_stored_normalization)


efficientnet_b0 = _first_generation(keras.applications.EfficientNetB0, "efficientnet_b0", 224, 0.2)
efficientnet_b1 = _first_generation(keras.applications.EfficientNetB1, "efficientnet_b1", 240, 0.2)
efficientnet_b2 = _first_generation(keras.applications.EfficientNetB2, "efficientnet_b2", 260, 0.3)
efficientnet_b3 = _first_generation(keras.applications.EfficientNetB3, "efficientnet_b3", 300, 0.3)
efficientnet_b4 = _first_generation(keras.applications.EfficientNetB4, "efficientnet_b4", 380, 0.4)
efficientnet_b5 = _first_generation(keras.applications.EfficientNetB5, "efficientnet_b5", 456, 0.4)
efficientnet_b6 = _first_generation(keras.applications.EfficientNetB6, "efficientnet_b6", 528, 0.5)
efficientnet_b7 = _first_generation(keras.applications.EfficientNetB7, "efficientnet_b7", 600, 0.5)

efficientnet_v2_b0 = application_builder(keras.applications.EfficientNetV2B0, "efficientnet_v2_b0", 224, dropout=0.2)
efficientnet_v2_b1 = application_builder(keras.applications.EfficientNetV2B1, "efficientnet_v2_b1", 240, dropout=0.2)
efficientnet_v2_b2 = application_builder(keras.applications.EfficientNetV2B2, "efficientnet_v2_b2", 260, dropout=0.2)
efficientnet_v2_b3 = application_builder(keras.applications.EfficientNetV2B3, "efficientnet_v2_b3", 300, dropout=0.2)
efficientnet_v2_s = application_builder(keras.applications.EfficientNetV2S, "efficientnet_v2_s", 384, dropout=0.2)
efficientnet_v2_m = application_builder(keras.applications.EfficientNetV2M, "efficientnet_v2_m", 480, dropout=0.2)
efficientnet_v2_l = application_builder(keras.applications.EfficientNetV2L, "efficientnet_v2_l", 480, dropout=0.2)
