"""A registered model is searched by KerasTuner itself."""

from __future__ import annotations

from pathlib import Path

import keras_tuner
import numpy as np
import pytest

from tuning import ZooHyperModel, build_arguments
from zoo import info
from zoo.errors import ArgumentError


def test_keras_tuner_searches_a_registered_model(tmp_path: Path) -> None:
    """Two random trials of mlp_binary run to their end and keep a best set of hyperparameters within its ranges."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(64, 2)).astype("float32")
    y = (x.sum(axis=1) > 0).astype("float32")
    tuner = keras_tuner.RandomSearch(ZooHyperModel("mlp_binary"), objective="val_loss", max_trials=2, seed=1,
                                     directory=tmp_path, project_name="search")
    tuner.search(x, y, validation_data=(x, y), epochs=1, verbose=0)
    assert len(tuner.oracle.trials) == 2
    best = tuner.get_best_hyperparameters()[0]
    assert 1e-4 <= best["learning_rate"] <= 1e-1
    assert set(build_arguments(best, info("mlp_binary"))) <= set(best.values)


def test_fixed_arguments_are_not_searched() -> None:
    """What the caller fixes is the same in every trial."""
    model = ZooHyperModel("mnist_cnn", num_classes=3, learning_rates=(0.01, 0.01 + 1e-9)).build(
        keras_tuner.HyperParameters())
    assert model.output_shape == (None, 3)


def test_the_task_is_the_one_that_is_built() -> None:
    """A model of several tasks is compiled for the chosen one, and refused where it has no loss over rows."""
    sizes = {"layers": 1, "hidden_size": 8, "heads": 2, "vocabulary_size": 20}
    model = ZooHyperModel("minilm_l6_h384", task="classification", **sizes).build(keras_tuner.HyperParameters())
    assert model.loss == "sparse_categorical_crossentropy"
    with pytest.raises(ArgumentError, match=r"minilm_l6_h384 was built for embedding. Name the task"):
        ZooHyperModel("minilm_l6_h384", **sizes).build(keras_tuner.HyperParameters())
