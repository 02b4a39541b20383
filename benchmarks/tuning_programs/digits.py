"""Digits: a small convolutional network as a KerasTuner hypermodel that knows nothing of zoo."""

from __future__ import annotations

import keras
import keras_tuner
from examples import fitted, load


class Digits(keras_tuner.HyperModel):
    """Six hyperparameters: filters, blocks, dense units, dropout, learning rate, batch size."""

    def build(self, hp):
        """The compiled network."""
        model = keras.Sequential([keras.Input((8, 8, 1))])
        for block in range(hp.Int("blocks", 1, 2)):
            model.add(keras.layers.Conv2D(hp.Choice("filters", [8, 16, 32]) * (block + 1), 3, padding="same",
                                          activation="relu"))
            model.add(keras.layers.MaxPooling2D())
        model.add(keras.layers.Flatten())
        model.add(keras.layers.Dense(hp.Choice("units", [16, 64, 128]), activation="relu"))
        model.add(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.6)))
        model.add(keras.layers.Dense(10, activation="softmax"))
        model.compile(keras.optimizers.Adam(hp.Float("learning_rate", 1e-5, 1e-1, sampling="log")),
                      "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def fit(self, hp, model, *args, **kwargs):
        """Trains in batches of a searched size."""
        return model.fit(*args, batch_size=hp.Choice("batch_size", [16, 32, 64, 128]), **kwargs)


__all__ = ["data", "hypermodel", "load"]
hypermodel = Digits()


def data():
    return fitted("digits")
