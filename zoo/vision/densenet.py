"""DenseNet (https://arxiv.org/abs/1608.06993)."""

from __future__ import annotations

import keras

from zoo.vision.applications import application_builder

densenet121 = application_builder(keras.applications.DenseNet121, "densenet121", 224)
densenet169 = application_builder(keras.applications.DenseNet169, "densenet169", 224)
densenet201 = application_builder(keras.applications.DenseNet201, "densenet201", 224)
