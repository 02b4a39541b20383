from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.zoo.evaluation.array_split import ArraySplit
from zoo.errors import ArgumentError, DataError
from zoo.evaluation.predictions import Predictions, check_predictions, predict

FEATURES = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
CLASSES = np.array([0, 1, 2, 0, 1, 2, 0], dtype=np.int32)


def _model(units: int, activation: str | None = "softmax") -> keras.Model:
    inputs = keras.Input((4,), name="features")
    hidden = keras.layers.Dropout(0.5, name="dropout")(inputs)
    return keras.Model(inputs, keras.layers.Dense(units, activation=activation, name="predictions")(hidden))


@pytest.fixture(scope="module")
def classifier() -> keras.Model:
    keras.utils.set_random_seed(0)
    return _model(3)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_outputs_are_the_models_in_the_order_of_the_split(classifier: keras.Model, batch_size: int) -> None:
    """Every example is answered once, in order, without dropout, whatever the batches are."""
    steps: list[tuple[int, int]] = []
    found = predict(classifier, ArraySplit(FEATURES, CLASSES), task="classification", batch_size=batch_size,
                    progress=lambda done, count: steps.append((done, count)))
    assert found.outputs == pytest.approx(classifier(FEATURES, training=False).numpy(), abs=1e-6)
    assert found.outputs.dtype == np.float32
    assert found.targets.tolist() == CLASSES.tolist()
    assert found.sources[2] == "row 2"
    assert steps[-1] == (7, 7) and len(steps) == -(-7 // batch_size)


def test_a_model_with_named_inputs_takes_a_dictionary() -> None:
    """Splits may yield a dictionary of tensors."""
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    model = keras.Model({"left": left, "right": right}, keras.layers.Add(name="sum")([left, right]))
    split = ArraySplit({"left": FEATURES[:, :2], "right": FEATURES[:, 2:]}, FEATURES[:, :2] + FEATURES[:, 2:])
    found = predict(model, split, task="regression", batch_size=2)
    assert found.outputs == pytest.approx(found.targets)


def test_values_of_a_sequence_are_columns() -> None:
    """A regression output [N, time, 1] is judged as one output per time step."""
    inputs = keras.Input((4, 1), name="sequence")
    model = keras.Model(inputs, keras.layers.Activation("linear", name="predictions")(inputs))
    found = predict(model, ArraySplit(FEATURES[:, :, None], FEATURES[:, :, None]), task="regression")
    assert found.outputs.shape == found.targets.shape == (7, 4)
    assert np.array_equal(found.outputs, FEATURES)


def test_one_column_of_numbers_may_come_without_its_axis() -> None:
    """Targets [N] fit a model with one output [N, 1]."""
    found = predict(_model(1, None), ArraySplit(FEATURES, FEATURES[:, 0]), task="regression")
    assert found.targets.shape == (7, 1)


@pytest.mark.parametrize(("task", "units", "words"), [
    ("features", 3, "Expected `task` to be one of classification, binary_classification, regression. Received: 'feat"),
    ("classification", 1, "single output. Evaluate it as task='binary_classification'"),
    ("binary_classification", 3, "one output, .* this one has 3. Evaluate it as task='classification'"),
])
def test_a_task_that_does_not_fit_the_model_is_refused(task: str, units: int, words: str) -> None:
    """The message names the task that would fit."""
    with pytest.raises(ArgumentError, match=words):
        predict(_model(units, "sigmoid"), ArraySplit(FEATURES, CLASSES), task=task)


@pytest.mark.parametrize("split", [None, ArraySplit(FEATURES[:0], CLASSES[:0])])
def test_an_empty_split_is_refused(classifier: keras.Model, split: ArraySplit | None) -> None:
    """Nothing can be said of no examples."""
    with pytest.raises(DataError, match=r"has no examples. Give a larger share"):
        predict(classifier, split, task="classification")


def test_a_split_that_miscounts_is_refused(classifier: keras.Model) -> None:
    """Fewer or more examples than promised would put answers beside the wrong sources."""
    with pytest.raises(DataError, match="has 9 examples, but its batches held 7"):
        predict(classifier, ArraySplit(FEATURES, CLASSES, count=9), task="classification")
    with pytest.raises(DataError, match="has 5 examples, but its batches hold more"):
        predict(classifier, ArraySplit(FEATURES, CLASSES, count=5), task="classification")
    with pytest.raises(DataError, match="7 examples but names the sources of 1"):
        predict(classifier, ArraySplit(FEATURES, CLASSES, sources=["a"]), task="classification")


def test_inputs_of_another_shape_are_refused(classifier: keras.Model) -> None:
    """The message holds the shape that came."""
    with pytest.raises(ArgumentError, match=r"does not accept the split's inputs of shape \(None, 3\)"):
        predict(classifier, ArraySplit(FEATURES[:, :3], CLASSES), task="classification")


def test_a_model_with_two_outputs_is_refused() -> None:
    """Which output to judge is not guessed."""
    inputs = keras.Input((4,), name="features")
    dense = keras.layers.Dense(2, name="predictions")(inputs)
    model = keras.Model(inputs, {"a": dense, "b": dense})
    with pytest.raises(ArgumentError, match=r"one output can be evaluated\. Received one that returns a dict"):
        predict(model, ArraySplit(FEATURES, CLASSES), task="regression")


@pytest.mark.parametrize(("targets", "task", "words"), [
    (CLASSES.astype(np.float32), "classification", "one integer class index per example. Received: float32"),
    (np.eye(3, dtype=np.int32)[CLASSES], "classification", r"one integer class index .* of shape \(7, 3\)"),
    (CLASSES + 2, "classification", r"4 of 7 targets are no class index in \[0, 3\): the first is 3 \(row 1\)"),
    (FEATURES, "regression", "predicts 3 values per example but the targets have 4"),
])
def test_targets_of_another_kind_are_refused(classifier: keras.Model, targets: np.ndarray, task: str,
                                             words: str) -> None:
    """The message says what was expected and what came."""
    with pytest.raises(DataError, match=words):
        predict(classifier, ArraySplit(FEATURES, targets), task=task)


def test_predictions_that_are_not_finite_are_counted(classifier: keras.Model) -> None:
    """The message says how many and which is the first."""
    broken = FEATURES.copy()
    broken[[3, 5]] = np.nan
    with pytest.raises(DataError, match=r"predictions for 2 of 7 examples are not finite numbers \(first: row 3\)"):
        predict(classifier, ArraySplit(broken, CLASSES), task="classification")


def test_targets_that_are_not_finite_are_counted() -> None:
    """A missing value in the truth is the data's fault, and said so."""
    targets = FEATURES.copy()
    targets[1, 2] = np.inf
    with pytest.raises(DataError, match=r"The targets for 1 of 7 examples are not finite"):
        predict(_model(4, None), ArraySplit(FEATURES, targets), task="regression")


@pytest.mark.parametrize(("task", "units", "activation", "words"), [
    ("classification", 3, None, "classifier_activation='softmax'"),
    ("classification", 3, "sigmoid", "one example's sum is"),
    ("binary_classification", 1, None, "classifier_activation='sigmoid'"),
])
def test_logits_are_not_taken_for_probabilities(task: str, units: int, activation: str | None, words: str) -> None:
    """The message names the option that gives probabilities."""
    model = _model(units, activation)
    model.get_layer("predictions").set_weights([np.full((4, units), 2.0), np.full(units, 3.0)])
    with pytest.raises(ArgumentError, match=words):
        predict(model, ArraySplit(FEATURES, np.zeros(7, dtype=np.int32)), task=task)


def test_a_batch_size_below_one_is_refused(classifier: keras.Model) -> None:
    """Zero examples per step would never end."""
    with pytest.raises(ArgumentError, match=r"`batch_size` must be at least 1 example. Received: 0"):
        predict(classifier, ArraySplit(FEATURES, CLASSES), task="classification", batch_size=0)


def test_answers_from_elsewhere_are_checked_too() -> None:
    """Answers of a server go through the same checks."""
    with pytest.raises(DataError, match="2 examples and 1 predictions"):
        check_predictions(Predictions(np.ones((1, 1), np.float32), np.zeros(2, np.int64), ("a", "b")), "regression")
