"""The batches of an epoch: decided by seed and epoch, and checked against the model before the first step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo.training.in_memory import ArraySplit, blobs, classifier, picture_classifier, pictures, regressor
from zoo.data import from_arrays
from zoo.errors import ArgumentError
from zoo.training import TrainingConfig, fit
from zoo.training.feed import Feed, derived_seed, seed_random_layers
from zoo.training.objective import Objective

CLASSES = Objective(task="classification", outputs=3)


def feed(train: ArraySplit | None = None, **changes: Any) -> Feed:
    values = {"train": train or blobs().train, "validation": None, "objective": CLASSES, "batch_size": 20, "seed": 5}
    return Feed(**{**values, **changes})


def rows(dataset: Any) -> np.ndarray:
    return np.concatenate([inputs.numpy() for inputs, *_ in dataset])


def test_each_epoch_has_its_own_order() -> None:
    """An epoch takes all examples once, in an order that its number and the seed decide."""
    first, again, other = rows(feed().training(0)), rows(feed().training(0)), rows(feed().training(1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, rows(feed(seed=6).training(0)))
    np.testing.assert_array_equal(np.sort(first, axis=0), np.sort(other, axis=0))
    assert feed().steps == 5 and len(list(feed().training(0))) == 5


def test_validation_keeps_its_order() -> None:
    """The validation examples are neither shuffled nor changed."""
    split = blobs().validation
    assert split is not None
    np.testing.assert_array_equal(rows(feed(validation=split).validating()), split.inputs)
    assert feed().validating() is None


def test_seeds_are_spread() -> None:
    """Neighbouring seeds and epochs give unrelated numbers in [0, 2**31), the same on every machine."""
    seeds = {derived_seed(seed, epoch) for seed in range(30) for epoch in range(30)}
    assert len(seeds) == 900 and all(0 <= seed < 2**31 for seed in seeds)
    assert derived_seed(0, 1) == 1817441348


def test_random_layers_start_from_the_seed() -> None:
    """Dropout draws the same after the same seed, however the model was built."""
    inputs = np.ones((4, 4), "float32")
    models = [classifier(seed=3), classifier(seed=4)]
    models[1].set_weights(models[0].get_weights())
    for model in models:
        seed_random_layers(model, 11)
    outputs = [model(inputs, training=True).numpy() for model in models]
    np.testing.assert_array_equal(outputs[0], outputs[1])


def test_shapes_must_fit() -> None:
    """Examples of another shape than the model takes are refused, with both shapes."""
    with pytest.raises(ArgumentError, match=r"'image' has the shape \[8, 8, 1\] per example; the training split gives "
                                            r"\[4\]"):
        feed().check(picture_classifier())
    with pytest.raises(ArgumentError, match="the validation split gives"):
        wide = ArraySplit(np.zeros((3, 7), "float32"), np.zeros(3, "int32"))
        feed(validation=wide).check(classifier())


def test_empty_split() -> None:
    """A split without examples is refused."""
    empty = ArraySplit(np.zeros((0, 4), "float32"), np.zeros(0, "int32"))
    with pytest.raises(ArgumentError, match="The training split has no examples"):
        feed(empty).check(classifier())


def test_targets_must_fit() -> None:
    """Targets in another form than the task's are refused."""
    hot = ArraySplit(np.zeros((3, 4), "float32"), np.zeros((3, 3), "float32"))
    with pytest.raises(ArgumentError, match=r"Class targets are indices of the shape \[N\]"):
        feed(hot).check(classifier())
    pairs = ArraySplit(np.zeros((3, 2), "float32"), np.zeros((3, 2), "float32"))
    with pytest.raises(ArgumentError, match=r"The model gives 1 values per example; the targets .* have 2"):
        feed(pairs, objective=Objective(task="regression", outputs=1)).check(regressor())


def test_several_inputs_need_names() -> None:
    """A model of two inputs takes a dict with their names."""
    source, target = keras.Input((4,), name="source"), keras.Input((4,), name="target")
    outputs = keras.layers.Dense(3, name="predictions")(keras.layers.Concatenate()([source, target]))
    model = keras.Model([source, target], outputs)
    with pytest.raises(ArgumentError, match="takes the inputs source, target; the training split gives one tensor"):
        feed().check(model)


def test_takes_the_streams_of_zoo_data(tmp_path: Path) -> None:
    """What `zoo.data` loads can be trained on, with augmentation that differs from batch to batch."""
    source = pictures()
    assert source.train is not None
    data = from_arrays(np.ones_like(source.train.inputs), source.train.targets, labels=source.labels)
    seeds: list[Any] = []

    def watched(inputs: Any, targets: Any, seed: Any) -> tuple[Any, Any]:
        return inputs, tf.repeat(seed[None], tf.shape(targets)[0], 0)

    objective = Objective(task="regression", outputs=2)
    for _, batch_seeds in feed(data.train, batch_size=4, objective=objective, augment=watched).training(0):
        seeds.append(tuple(batch_seeds.numpy()[0]))
    assert len(set(seeds)) == len(seeds) > 1
    config = TrainingConfig.from_dict({"epochs": 2, "augmentation": ("flip", "mixup")})
    assert fit(picture_classifier(), data, config, tmp_path).epochs == 2
