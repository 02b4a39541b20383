"""Pausing: a training rests after a saved epoch, and later ends as if it never had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.zoo.training.in_memory import blobs, classifier
from zoo.spec import record_of
from zoo.training import EpochEnded, TrainingConfig, TrainingReport, fit

# Everything that has a state of its own: dropout, two phases with an optimizer each, a falling rate, mixup.
DEMANDING = TrainingConfig(epochs=5, batch_size=32, learning_rate=0.01, frozen_epochs=2, schedule="cosine",
                           warmup_epochs=0.5, augmentation=("mixup",), l2=1e-3, optimizer="adamw")


def weights(model: keras.Model) -> list[np.ndarray]:
    return [np.array(v.value.numpy()) for v in model.variables]


def assert_equal_weights(left: list[np.ndarray], right: list[np.ndarray]) -> None:
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[keras.Model, TrainingReport]]:
    """The demanding run without a pause."""
    model = classifier()
    yield model, fit(model, blobs(), DEMANDING, tmp_path_factory.mktemp("whole"))


def test_a_run_that_paused_after_each_epoch_ends_alike(whole: tuple[keras.Model, TrainingReport],
                                                       tmp_path: Path) -> None:
    """Three calls, each with another model, give the numbers of one call to the last bit."""
    for before, epochs in ((0, 1), (1, 3), (3, 5)):  # amid either phase; between them is amid the second call
        model = classifier() if before == 0 else classifier(seed=90 + epochs)
        report = fit(model, blobs(), DEMANDING, tmp_path, pause=lambda event: event.epoch >= epochs)  # noqa: B023
        assert (report.epochs, report.resumed_from) == (epochs, before or None)
        assert report.stopped == ("completed" if epochs == 5 else "paused")
        assert not report.already_finished
    assert report.history == whole[1].history
    assert_equal_weights(weights(model), weights(whole[0]))


def test_a_paused_model_is_the_best_so_far(tmp_path: Path) -> None:
    """While it rests the model has the parameters of its best epoch, its own layers, and a record that says so."""
    data, config = blobs(count=32, spread=3.0), TrainingConfig(epochs=9, learning_rate=0.3, monitor="val_loss")
    model = classifier()
    report = fit(model, data, config, tmp_path, pause=lambda event: event.epoch >= 6)
    losses = [epoch["val_loss"] for epoch in report.history]
    assert report.best_epoch < 6 and losses[report.best_epoch - 1] == min(losses)
    assert data.validation is not None
    inputs, targets = data.validation.inputs, data.validation.targets
    loss = -np.mean(np.log(np.asarray(model(inputs))[np.arange(len(targets)), targets]))
    assert loss == pytest.approx(min(losses), rel=1e-5)
    training = record_of(model).training
    assert (training["stopped"], training["epochs"], training["best_epoch"]) == ("paused", 6, report.best_epoch)
    assert report.summary().startswith("6 epochs, paused; best val_loss")
    same_model = fit(model, data, config, tmp_path)  # and from the last epoch, not from the best one, it goes on
    assert_equal_weights(weights(model), weights(_trained(data, config, tmp_path / "whole")))
    assert same_model.stopped == "completed"


def _trained(data: Any, config: TrainingConfig, folder: Path) -> keras.Model:
    model = classifier()
    fit(model, data, config, folder)
    return model


def test_who_pauses_is_asked_about_every_saved_epoch(tmp_path: Path) -> None:
    """Also about the last one before a run goes on: what was told then may have got lost with the process."""
    seen: list[EpochEnded] = []

    def pause(event: EpochEnded) -> bool:
        seen.append(event)
        return event.epoch == 2

    config = TrainingConfig(epochs=3, batch_size=32)
    fit(classifier(), blobs(), config, tmp_path, pause=pause)
    trained = (tmp_path / "checkpoint.safetensors").read_bytes()
    assert fit(classifier(), blobs(), config, tmp_path, pause=pause).stopped == "paused"  # at once, with nothing done
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == trained
    assert [event.epoch for event in seen] == [1, 2, 2]
    assert seen[1] == seen[2] and seen[1].logs["epoch"] == 2 and seen[1].seconds > 0
    report = fit(classifier(), blobs(), config, tmp_path, pause=lambda event: seen.append(event) or event.epoch == 3)
    assert [event.epoch for event in seen] == [1, 2, 2, 2, 3]
    assert report.stopped == "completed"  # a pause after the last epoch changes nothing
    fit(classifier(), blobs(), config, tmp_path, pause=pause)
    assert len(seen) == 5  # nor is anybody asked about a finished run


def test_early_stopping_counts_through_pauses(tmp_path: Path) -> None:
    """A run with patience stops at the same epoch, paused or not."""
    data = blobs(count=32, spread=3.0)
    config = TrainingConfig(epochs=30, learning_rate=0.5, early_stopping_patience=2)
    expected = fit(classifier(), data, config, tmp_path / "whole")
    assert expected.stopped == "early_stopping"
    for epochs in (expected.best_epoch, expected.best_epoch + 1, expected.epochs):  # where patience is counted
        report = fit(classifier(), data, config, tmp_path / "parts",
                     pause=lambda event: event.epoch >= epochs)  # noqa: B023
    assert (report.history, report.stopped) == (expected.history, "early_stopping")
