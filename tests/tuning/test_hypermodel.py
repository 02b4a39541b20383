"""A registered model is searched by KerasTuner itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from tuning import ZooHyperModel
from tuning.spaces import Dimension, SearchSpace
from zoo.errors import ArgumentError


def points(rows: int = 64) -> tuple[Any, Any]:
    x = np.random.default_rng(0).normal(size=(rows, 2)).astype("float32")
    return x, (x.sum(axis=1) > 0).astype("float32")


def parameters(hypermodel: ZooHyperModel, **values: Any) -> keras_tuner.HyperParameters:
    hp = keras_tuner.HyperParameters()
    hypermodel.space.register(hp)
    hp.values.update(values)
    return hp


def test_keras_tuner_searches_a_registered_model(tmp_path: Path) -> None:
    """Two random trials of mlp_binary run to their end with a whole space: the model's own arguments and those of the
    training; each optimizer has a learning rate of its own range."""
    x, y = points()
    hypermodel = ZooHyperModel("mlp_binary", settings={"hidden_units": "4..8"})
    tuner = keras_tuner.RandomSearch(hypermodel, objective="val_loss", max_trials=2, seed=1, directory=tmp_path,
                                     project_name="search")
    tuner.search(x, y, validation_data=(x, y), epochs=1, verbose=0)
    assert [trial.status for trial in tuner.oracle.trials.values()] == ["COMPLETED"] * 2
    assert {hp.name for hp in tuner.oracle.hyperparameters.space} == set(hypermodel.space.names)
    assert {"hidden_units", "optimizer", "sgd_learning_rate", "schedule", "batch_size"} <= set(hypermodel.space.names)
    for trial in tuner.oracle.trials.values():
        build, training, _ = hypermodel.space.split(trial.hyperparameters.values)
        assert 4 <= build["hidden_units"] <= 8
        assert ("sgd_learning_rate" in trial.hyperparameters.values) == (training["optimizer"] == "momentum")


def test_fixed_arguments_are_not_searched() -> None:
    """What the caller fixes is the same in every trial, and no hyperparameter."""
    hypermodel = ZooHyperModel("mnist_cnn", num_classes=3, filters=16, learning_rates=(0.01, 0.02))
    assert "filters" not in hypermodel.space
    model = hypermodel.build(keras_tuner.HyperParameters())
    assert model.output_shape == (None, 3)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


def test_the_task_is_the_one_that_is_built() -> None:
    """A model of several tasks is compiled for the chosen one, and refused where it has no loss over rows."""
    sizes = {"layers": 1, "hidden_size": 8, "heads": 2, "vocabulary_size": 20}
    model = ZooHyperModel("minilm_l6_h384", task="classification", **sizes).build(keras_tuner.HyperParameters())
    assert model.loss == "sparse_categorical_crossentropy"
    with pytest.raises(ArgumentError, match=r"minilm_l6_h384 was built for embedding. Name the task"):
        ZooHyperModel("minilm_l6_h384", **sizes).build(keras_tuner.HyperParameters())


def test_the_training_is_that_of_the_hyperparameters() -> None:
    """Batch size, schedule and warm-up of a trial decide the steps and the learning rate at each of them."""
    hypermodel = ZooHyperModel("mlp_binary")
    hp = parameters(hypermodel, optimizer="adam", learning_rate=0.01, schedule="linear", warmup_epochs=0.0,
                    batch_size=16)
    model = hypermodel.build(hp)
    hypermodel.fit(hp, model, *points(64), epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 2 * 4
    assert [float(model.optimizer._learning_rate(step)) for step in (0, 4, 8)] == pytest.approx([0.01, 0.005, 0.0])


@pytest.mark.parametrize("batch_size", [8, 32])
def test_a_dataset_is_batched_anew(batch_size: int) -> None:
    """A tf.data.Dataset trains with the trial's batch size, whatever it came with."""
    hypermodel = ZooHyperModel("mlp_binary", settings={"batch_size": batch_size, "schedule": "cosine",
                                                       "optimizer": "momentum"})
    hp = parameters(hypermodel)
    model = hypermodel.build(hp)
    hypermodel.fit(hp, model, tf.data.Dataset.from_tensor_slices(points(64)).batch(16), epochs=1, verbose=0)
    assert int(model.optimizer.iterations) == 64 // batch_size
    assert isinstance(model.optimizer, keras.optimizers.SGD)


def test_a_penalty_is_added_while_training() -> None:
    """`l2` of the training raises the loss of a model whose builder has no such argument."""
    space = SearchSpace((Dimension(name="l2", kind="fixed", default=10.0, target="training"),), "mlp_binary")
    losses = []
    for searched in (space, space.changed({"l2": 0.0})):
        hypermodel = ZooHyperModel("mlp_binary", space=searched, seed=1)
        hp = parameters(hypermodel)
        losses.append(hypermodel.fit(hp, hypermodel.build(hp), *points(), verbose=0).history["loss"][0])
    assert losses[0] > losses[1] + 1.0


@pytest.mark.parametrize("name", ["augmentation", "label_smoothing", "max_length"])
def test_what_a_plain_fit_cannot_do_is_refused(name: str) -> None:
    """A space with augmentation, smoothed labels or other data is refused by name, and not silently ignored."""
    with pytest.raises(ArgumentError, match=rf"`model.fit`, which has no '{name}'.*zoo tune"):
        ZooHyperModel("mnist_cnn", settings={name: [0.1, 0.2]})


def test_a_schedule_needs_the_number_of_steps() -> None:
    """A generator does not tell its length; the message says what to give."""
    hypermodel = ZooHyperModel("mlp_binary", settings={"schedule": "cosine"})
    hp = parameters(hypermodel)
    with pytest.raises(ArgumentError, match="Give `steps_per_epoch`, or leave schedule"):
        hypermodel.fit(hp, hypermodel.build(hp), iter([points()]))
