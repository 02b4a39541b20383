"""SST-2: word vectors, averaged, convolved or read in order, as a KerasTuner hypermodel that knows nothing of zoo."""

from __future__ import annotations

import keras
import keras_tuner
from examples import LENGTH, WORDS, fitted, load


class Sentiment(keras_tuner.HyperModel):
    """Seven hyperparameters: width, reader, units, dropout, learning rate, weight decay, batch size."""

    def build(self, hp):
        """The compiled network."""
        tokens = keras.Input((LENGTH,), dtype="int32")
        x = keras.layers.Embedding(WORDS, hp.Choice("width", [16, 32, 64]))(tokens)
        reader = hp.Choice("reader", ["mean", "convolution", "gru"])
        units = hp.Choice("units", [16, 32, 64])
        rate = hp.Float("dropout", 0.0, 0.6)
        x = keras.layers.Dropout(rate)(x)
        if reader == "mean":
            x = keras.layers.GlobalAveragePooling1D()(x)
        elif reader == "convolution":
            x = keras.layers.GlobalMaxPooling1D()(keras.layers.Conv1D(units, 3, activation="relu")(x))
        else:
            x = keras.layers.GRU(units)(x)
        x = keras.layers.Dropout(rate)(keras.layers.Dense(units, activation="relu")(x))
        model = keras.Model(tokens, keras.layers.Dense(1, activation="sigmoid")(x))
        model.compile(keras.optimizers.AdamW(hp.Float("learning_rate", 1e-5, 1e-1, sampling="log"),
                                             weight_decay=hp.Float("weight_decay", 1e-5, 1e-1, sampling="log")),
                      "binary_crossentropy", metrics=["accuracy"])
        return model

    def fit(self, hp, model, *args, **kwargs):
        """Trains in batches of a searched size."""
        return model.fit(*args, batch_size=hp.Choice("batch_size", [32, 64, 128]), **kwargs)


__all__ = ["data", "hypermodel", "load"]
hypermodel = Sentiment()


def data():
    return fitted("sst2")
