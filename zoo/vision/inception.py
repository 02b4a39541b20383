"""Inception V3 (https://arxiv.org/abs/1512.00567) and Xception (https://arxiv.org/abs/1610.02357)."""

from __future__ import annotations

import keras

from zoo.vision.applications import application_builder

inception_v3 = application_builder(keras.applications.InceptionV3, "inception_v3", 299, minimum=75)
xception = application_builder(keras.applications.Xception, "xception", 299, minimum=71)
