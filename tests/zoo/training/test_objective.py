"""Loss, metrics and targets by task, against numbers written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo.training.in_memory import ArrayData, binary_classifier, blobs, classifier, line, regressor
from zoo.errors import ArgumentError
from zoo.spec import attach_record, record_of
from zoo.training.config import TrainingConfig
from zoo.training.objective import Objective, higher_is_better, monitored, objective_for

INDICES = tf.constant([0, 2, 1])


def objective(model: Any, data: ArrayData, **changes: Any) -> Objective:
    return objective_for(model, record_of(model), data, TrainingConfig.from_dict(changes))


@pytest.mark.parametrize(("task", "outputs", "measures"), [
    ("classification", 3, ("loss", "accuracy")),
    ("classification", 6, ("loss", "accuracy", "top_5_accuracy")),
    ("binary_classification", 1, ("loss", "accuracy", "auc")),
    ("regression", 2, ("loss", "mae")),
])
def test_measures(task: Any, outputs: int, measures: tuple[str, ...]) -> None:
    """Each task has its measures, top-5 only where it can fail."""
    for soft in (False, True):
        assert Objective(task=task, outputs=outputs, soft=soft).measures == measures


def test_soft_and_hard_targets_have_one_loss() -> None:
    """Indices and the same classes as distributions give the same loss and accuracy."""
    probabilities = tf.constant([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.5, 0.2, 0.3]])
    expected = -np.mean(np.log([0.7, 0.4, 0.2]))
    for soft in (False, True):
        chosen = Objective(task="classification", outputs=3, soft=soft)
        _, targets = chosen.validation_example(None, INDICES)
        accuracy = chosen.metrics()[0]
        accuracy.update_state(targets, probabilities)
        assert float(chosen.loss()(targets, probabilities)) == pytest.approx(expected)
        assert float(accuracy.result()) == pytest.approx(2 / 3)


def test_smoothing_is_for_training_only() -> None:
    """Training targets are smoothed, validation targets are not."""
    chosen = Objective(task="classification", outputs=3, soft=True, label_smoothing=0.3)
    _, smooth = chosen.training_example(None, INDICES)
    _, plain = chosen.validation_example(None, INDICES)
    np.testing.assert_allclose(smooth[0], [0.8, 0.1, 0.1], atol=1e-6)
    np.testing.assert_array_equal(plain[0], [1.0, 0.0, 0.0])


def test_binary_smoothing_keeps_accuracy() -> None:
    """Smoothed binary targets still count as their class in accuracy and AUC."""
    chosen = Objective(task="binary_classification", outputs=1, label_smoothing=0.2)
    _, targets = chosen.training_example(None, tf.constant([0, 1, 1, 0]))
    np.testing.assert_allclose(targets[:, 0], [0.1, 0.9, 0.9, 0.1], atol=1e-6)
    for metric, expected in zip(chosen.metrics(), (0.75, 1.0), strict=True):
        metric.update_state(targets, tf.constant([[0.1], [0.9], [0.8], [0.6]]))
        assert float(metric.result()) == pytest.approx(expected, abs=1e-3)


def test_threshold_of_the_record_counts() -> None:
    """Binary accuracy says yes from the model's own threshold."""
    (accuracy, _) = Objective(task="binary_classification", outputs=1, threshold=0.7).metrics()
    accuracy.update_state(tf.constant([[0.0], [1.0]]), tf.constant([[0.6], [0.7]]))
    assert float(accuracy.result()) == 1.0


@pytest.mark.parametrize(("soft", "targets"), [(False, INDICES), (True, tf.one_hot(INDICES, 3))])
def test_class_weights(soft: bool, targets: Any) -> None:
    """Each training example carries the weight of its class; a mixed one a mixture."""
    chosen = Objective(task="classification", outputs=3, soft=soft, class_weights=(1.0, 2.0, 4.0))
    np.testing.assert_allclose(chosen.training_example(None, targets)[2], [1.0, 4.0, 2.0])
    assert len(chosen.validation_example(None, targets)) == 2


def test_binary_class_weights() -> None:
    """A binary target between the classes weighs between them."""
    chosen = Objective(task="binary_classification", outputs=1, class_weights=(1.0, 3.0))
    np.testing.assert_allclose(chosen.training_example(None, tf.constant([[0.0], [1.0], [0.5]]))[2], [1.0, 3.0, 2.0])


def test_a_head_without_softmax() -> None:
    """A linear head of a classifier is understood as logits, a softmax is not."""
    assert objective(classifier(activation="linear"), blobs()).from_logits
    assert not objective(classifier(), blobs()).from_logits


def test_regression_is_mean_squared_error() -> None:
    """Regression minimises the mean squared error over values [N, k]."""
    chosen = objective(regressor(), line())
    assert float(chosen.loss()(tf.constant([[1.0], [3.0]]), tf.constant([[2.0], [5.0]]))) == 2.5


def test_features_have_nothing_to_learn() -> None:
    """A model without a head is refused."""
    model = classifier()
    attach_record(model, record_of(model).replace(task="features"))
    with pytest.raises(ArgumentError, match=r"has no head to train\. Build it with include_top=True"):
        objective(model, blobs())


def test_class_count_must_fit() -> None:
    """Another number of classes is refused, with the remedy."""
    with pytest.raises(ArgumentError, match=r"tells 3 classes apart and the data have 4.*num_classes=4"):
        objective(classifier(), blobs(classes=4))


def test_label_order_must_fit() -> None:
    """Labels in another order are refused, because indices would change their meaning."""
    model = classifier()
    attach_record(model, record_of(model).replace(labels=("class 0", "class 2", "class 1")))
    with pytest.raises(ArgumentError, match="The model's class 1 is 'class 2', the data's is 'class 1'"):
        objective(model, blobs())


def test_target_kind_must_fit() -> None:
    """Class indices do not train a regression, nor values a classifier."""
    with pytest.raises(ArgumentError, match="learns from targets of the kind 'float'"):
        objective(regressor(), blobs())
    with pytest.raises(ArgumentError, match="learns from targets of the kind 'index'"):
        objective(binary_classifier(), line())


@pytest.mark.parametrize("changes", [{"label_smoothing": 0.1}, {"class_weights": True}])
def test_regression_has_no_classes(changes: dict[str, Any]) -> None:
    """What belongs to classes is refused for a regression."""
    with pytest.raises(ArgumentError, match=f"`{next(iter(changes))}` belongs to classification"):
        objective(regressor(), line(), **changes)


def test_class_weights_must_be_there() -> None:
    """Weights that are wanted and not given are missed by class."""
    with pytest.raises(ArgumentError, match="the data give no weight for class 0"):
        objective(classifier(), blobs(), class_weights=True)


def test_monitor_falls_back_and_is_checked() -> None:
    """Without validation the training measure decides; a measure that the task lacks is refused."""
    chosen = Objective(task="regression", outputs=1)
    assert monitored(TrainingConfig(monitor="val_mae"), chosen, validated=False) == "mae"
    assert monitored(TrainingConfig(monitor="val_mae"), chosen, validated=True) == "val_mae"
    with pytest.raises(ArgumentError, match=r"does not measure\. It has: loss, mae"):
        monitored(TrainingConfig(monitor="val_accuracy"), chosen, validated=True)


@pytest.mark.parametrize(("measure", "higher"), [("val_loss", False), ("mae", False), ("val_auc", True)])
def test_direction(measure: str, higher: bool) -> None:
    """Losses and errors should fall, accuracies rise."""
    assert higher_is_better(measure) is higher
