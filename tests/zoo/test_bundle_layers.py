"""A model from elsewhere comes back from its bundle with its parameters, also where layers stand inside layers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np
import pytest
from keras import layers

import zoo
from zoo.bundle_architecture import rebuilt
from zoo.layers.take_step import TakeStep
from zoo.spec import TensorPreprocessing

INPUTS = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")

ANSWER = """
import sys
import numpy as np
import zoo
answers = zoo.load(sys.argv[1])(np.load(sys.argv[2] + "/inputs.npy"))
np.save(sys.argv[2] + "/answers.npy", answers)
"""


def lstm(**options: Any) -> keras.layers.Layer:
    return layers.LSTM(4, name="lstm", **options)


def network(*hidden: keras.layers.Layer) -> keras.Model:
    inputs = keras.Input((5, 3), name="features")
    x: Any = inputs
    for layer in hidden:
        x = layer(x)
    return keras.Model(inputs, layers.Dense(2, name="predictions")(x))


LAYERS: dict[str, Callable[[], keras.Model]] = {
    "bidirectional": lambda: network(layers.Bidirectional(lstm())),
    "two of one name": lambda: network(layers.Bidirectional(lstm(return_sequences=True), name="a"),
                                       layers.Bidirectional(lstm(), name="b")),
    "a layer for each direction": lambda: network(
        layers.Bidirectional(lstm(), backward_layer=layers.GRU(4, name="back", go_backwards=True))),
    "each step": lambda: network(layers.TimeDistributed(layers.Dense(4)), layers.Flatten()),
    "cells": lambda: network(layers.RNN([layers.LSTMCell(4), layers.GRUCell(3, name="second")])),
    "normalized kernel": lambda: network(layers.Flatten(), layers.SpectralNormalization(layers.Dense(4, name="d"))),
    "model in a model": lambda: network(keras.Sequential([keras.Input((5, 3)), layers.Bidirectional(lstm())])),
    "model in a model, built late": lambda: network(keras.Sequential([layers.Bidirectional(lstm())])),
    "one after another": lambda: keras.Sequential([keras.Input((5, 3)), layers.Bidirectional(lstm()),
                                                   layers.Dense(2)]),
}


def adopted(model: keras.Model) -> keras.Model:
    generator = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(generator.normal(size=variable.shape))
    return zoo.adopt(model, name="mine", input_kind="sequence", task="classification",
                     preprocessing=TensorPreprocessing(), labels=("no", "yes"))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_inside_layers_come_back(name: str, tmp_path: Path) -> None:
    """What was built at once and what was opened from a bundle before are both saved and opened with equal answers."""
    model = adopted(LAYERS[name]())
    loaded = zoo.load(zoo.save(model, tmp_path / "first"))
    again = zoo.load(zoo.save(loaded, tmp_path / "second"))
    for copy in (loaded, again):
        np.testing.assert_array_equal(copy(INPUTS), model(INPUTS))


def test_a_model_from_a_keras_file_comes_back(tmp_path: Path) -> None:
    """Keras names the variables of such a model otherwise than those of one that was built by calling its layers."""
    LAYERS["two of one name"]().save(tmp_path / "m.keras")
    model = adopted(keras.models.load_model(tmp_path / "m.keras"))
    loaded = zoo.load(zoo.save(model, tmp_path / "bundle"))
    np.testing.assert_array_equal(loaded(INPUTS), model(INPUTS))


@pytest.mark.parametrize("kind", ["zoo", "keras_hub"])
def test_another_process_knows_the_layers(kind: str, tmp_path: Path) -> None:
    """Layers of this package and of keras-hub are found where nothing but the bundle was opened."""
    inputs = keras.Input((5, 3), name="features")
    if kind == "zoo":
        x = TakeStep(-1)(layers.Dense(2)(inputs))
    else:
        x = layers.Flatten()(keras_hub.layers.PositionEmbedding(5)(inputs))
    model = adopted(keras.Model(inputs, layers.Dense(2)(x)))
    folder = zoo.save(model, tmp_path / "m")
    np.save(tmp_path / "inputs.npy", INPUTS)
    subprocess.run([sys.executable, "-c", ANSWER, folder, tmp_path], check=True, timeout=120)
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), model(INPUTS), rtol=1e-5, atol=1e-6)


def test_a_layer_without_its_module_is_told(tmp_path: Path) -> None:
    """A file cannot name a module of its own choice: what is not known stays unknown."""
    model = adopted(network(layers.Flatten()))
    path = next((zoo.save(model, tmp_path) / "x").parent.glob("architecture-*.json"))
    config = json.loads(path.read_text())
    config["config"]["layers"][1] |= {"module": "elsewhere.flat", "class_name": "Flat", "registered_name": "own>Flat"}
    with pytest.raises(zoo.BundleError, match="Import the package that registers its custom layers first"):
        rebuilt(config, "mine")


def test_a_model_that_tells_no_shapes_is_refused() -> None:
    """A class of one's own without declared inputs gets an error that says what to do."""

    class Own(keras.Model):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return inputs * 2

    model = Own()
    model(INPUTS)
    with pytest.raises(zoo.ArgumentError, match=r"call your own class on a keras\.Input"):
        zoo.adopt(model, name="mine", input_kind="sequence", task="features", preprocessing=TensorPreprocessing())
