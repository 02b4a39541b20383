"""What is searched of a training depends on the model."""

from __future__ import annotations

import pytest

from tuning.spaces.dimension import Dimension
from tuning.spaces.training_space import Situation, training_dimensions
from zoo.catalog import all_specs
from zoo.spec import Task

SPECS = {spec.name: spec for spec in all_specs()}


def dimensions(name: str, *, task: Task | None = None, epochs: int = 10, rows: int | None = None,
               pretrained: bool = False) -> dict[str, Dimension]:
    situation = Situation(spec=SPECS[name], task=task or SPECS[name].task, epochs=epochs, rows=rows,
                          pretrained=pretrained)
    return {dimension.name: dimension for dimension in training_dimensions(situation)}


@pytest.mark.parametrize("name", SPECS)
def test_everything_is_of_the_training(name: str) -> None:
    """Optimizer, rate, schedule, warm-up and batch size are searched for every model, around its own defaults."""
    own = SPECS[name].training
    found = dimensions(name)
    assert {"optimizer", "learning_rate", "schedule", "warmup_epochs", "batch_size"} <= set(found)
    assert {dimension.target for dimension in found.values()} == {"training"}
    assert found["optimizer"].start == own.optimizer
    assert found["batch_size"].start == own.batch_size
    rate = found["sgd_learning_rate" if own.optimizer in ("sgd", "momentum") else "learning_rate"]
    assert rate.low is not None and rate.high is not None and rate.low <= own.learning_rate <= rate.high


@pytest.mark.parametrize(("name", "task", "present", "absent"), [
    ("resnet50", None, {"augmentation", "label_smoothing", "l2", "weight_decay"}, {"frozen_layers", "frozen_epochs"}),
    ("resnet50", "regression", {"augmentation"}, {"label_smoothing"}),
    ("mnist_cnn", None, {"augmentation"}, {"l2"}), ("mlp_binary", None, {"label_smoothing"}, {"augmentation", "l2"}),
    ("linear_regression", None, set(), {"weight_decay", "label_smoothing"}),
    ("bert_base_uncased", None, {"label_smoothing", "weight_decay"}, {"l2", "sgd_learning_rate"}),
    ("bert_base_uncased", "token_classification", set(), {"label_smoothing"}),
    ("gpt2", None, set(), {"label_smoothing"})])
def test_what_the_training_would_refuse_is_not_searched(name: str, task: Task | None, present: set[str],
                                                       absent: set[str]) -> None:
    """Smoothing is for classes, augmentation for pictures, freezing for given parameters, one penalty at a time."""
    found = set(dimensions(name, task=task))
    assert present <= found
    assert not absent & found


@pytest.mark.parametrize(("name", "task", "frozen"), [
    ("resnet50", None, {"frozen_layers", "frozen_epochs"}), ("inception_v3", None, {"frozen_epochs"}),
    ("gpt2", None, {"frozen_layers"}), ("minilm_l6_h384", "embedding", {"frozen_layers"}), ("hub", None, set())])
def test_given_parameters_may_be_frozen(name: str, task: Task | None, frozen: set[str]) -> None:
    """Depth is searched where there are blocks, epochs of the head alone where the head has parameters."""
    found = dimensions(name, task=task, pretrained=True)
    assert {key for key in found if key.startswith("frozen")} == frozen
    fine, scratch = found["learning_rate"], dimensions(name, task=task)["learning_rate"]
    assert fine.high is not None and scratch.high is not None and fine.high < scratch.high


@pytest.mark.parametrize(("rows", "largest"), [(None, 128), (100_000, 128), (200, 32), (20, 5), (3, 2)])
def test_a_batch_is_a_part_of_the_rows(rows: int | None, largest: int) -> None:
    """With few rows an epoch still has some steps."""
    assert max(dimensions("mnist_cnn", rows=rows)["batch_size"].choices) == largest


@pytest.mark.parametrize("epochs", [1, 2, 3, 50])
def test_warm_up_and_frozen_epochs_are_parts_of_the_epochs(epochs: int) -> None:
    """However short a training is, it is not all warm-up, and the whole network learns in some of it."""
    found = dimensions("resnet50", epochs=epochs, pretrained=True)
    assert max(found["warmup_epochs"].choices) < epochs / 2
    assert ("frozen_epochs" in found) == (epochs > 1)
    if epochs > 1:
        assert max(found["frozen_epochs"].choices) < epochs


def test_grey_pictures_are_not_mirrored() -> None:
    """A mirrored digit is none, so grey pictures are turned a little at most."""
    assert not any("flip" in change for change in dimensions("mnist_cnn")["augmentation"].choices)
    assert any("flip" in change for change in dimensions("cifar_cnn")["augmentation"].choices)
