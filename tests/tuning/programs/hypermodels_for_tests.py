"""KerasTuner hypermodels as users write them; the tests name them by this file."""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner
import numpy as np

import zoo


def build(hp: Any) -> keras.Model:
    """A network without an input layer, with a hyperparameter under a condition."""
    model = keras.Sequential([keras.layers.Dense(hp.Int("units", 4, 8), activation="relu"), keras.layers.Dropout(0.1),
                              keras.layers.Dense(1)])
    name = hp.Choice("optimizer", ["adam", "sgd"])
    with hp.conditional_scope("optimizer", ["sgd"]):
        if name == "sgd":
            hp.Float("momentum", 0.0, 0.9, default=0.5)
    model.compile(name, "mse", metrics=["mae"])
    return model


class WithFit(keras_tuner.HyperModel):  # type: ignore[misc]
    """Chooses the batch size where KerasTuner's guide does, and sets its own epochs."""

    def build(self, hp: Any) -> keras.Model:
        return build(hp)

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        return model.fit(*args, batch_size=hp.Choice("batch_size", [16, 32]), epochs=2, **kwargs)


class OwnLoop(keras_tuner.HyperModel):  # type: ignore[misc]
    """Trains in a loop of its own, tells the callbacks, and returns a number."""

    def build(self, hp: Any) -> keras.Model:
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    def fit(self, hp: Any, model: keras.Model, x: Any, y: Any, validation_data: Any, callbacks: Any,
            **kwargs: Any) -> float:
        rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
        for callback in callbacks:
            callback.set_model(model)
        for epoch in range(3):
            loss = float(np.mean((model(x).numpy()[:, 0] - y) ** 2)) * rate
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"my_loss": loss - epoch})
        return loss - 2


class NoMeasures(OwnLoop):
    """Forgets to return anything."""

    def fit(self, hp: Any, model: keras.Model, **kwargs: Any) -> None:
        return None


class NeedsArguments(WithFit):
    """Cannot be made without arguments."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width


def zoo_model(hp: Any) -> keras.Model:
    """A model of the zoo, compiled by hand."""
    model = zoo.build("linear_regression", features=3)
    model.compile(keras.optimizers.SGD(hp.Float("rate", 0.01, 0.2)), "mse", jit_compile=False)
    return model


def no_model(hp: Any) -> str:
    """Returns something else."""
    return "a model"


def fails(hp: Any) -> keras.Model:
    """Raises something of the user's own."""
    raise RuntimeError("out of ideas")


ready = WithFit()
number = 3


def data() -> dict[str, Any]:
    """What model.fit takes, with a callback of the user's."""
    x = np.random.default_rng(0).normal(size=(128, 3)).astype("float32")
    y = x.sum(axis=1)
    return {"x": x[:96], "y": y[:96], "validation_data": (x[96:], y[96:]), "epochs": 100, "verbose": 1,
            "callbacks": [keras.callbacks.TerminateOnNaN()]}
