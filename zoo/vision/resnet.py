"""ResNet (https://arxiv.org/abs/1512.03385) and ResNet V2 (https://arxiv.org/abs/1603.05027)."""

from __future__ import annotations

import keras

from zoo.vision.applications import application_builder

resnet50 = application_builder(keras.applications.ResNet50, "resnet50", 224)
resnet101 = application_builder(keras.applications.ResNet101, "resnet101", 224)
resnet152 = application_builder(keras.applications.ResNet152, "resnet152", 224)
resnet50_v2 = application_builder(keras.applications.ResNet50V2, "resnet50_v2", 224)
resnet101_v2 = application_builder(keras.applications.ResNet101V2, "resnet101_v2", 224)
resnet152_v2 = application_builder(keras.applications.ResNet152V2, "resnet152_v2", 224)
