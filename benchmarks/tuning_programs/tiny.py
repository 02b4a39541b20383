"""A trial that takes next to no time: eight rows, one weight, one epoch."""

from __future__ import annotations

import keras
import numpy as np


def build(hp):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")), "mse")
    return model


def data():
    x = np.linspace(0, 1, 8, dtype=np.float32)[:, None]
    return {"x": x, "y": 2 * x, "validation_data": (x, 2 * x), "epochs": 1}
