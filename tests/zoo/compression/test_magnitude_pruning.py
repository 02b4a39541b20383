"""Magnitude pruning inside a training run: the schedule, the masks in the compiled step, the guarantees of `fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import zoo
from tests.zoo.training.in_memory import blobs, classifier
from zoo.compression.magnitude_pruning import MagnitudePruning
from zoo.errors import ArgumentError
from zoo.training import TrainingConfig, fit

CONFIG = TrainingConfig(epochs=4, batch_size=16, learning_rate=0.01)


def zeros_of(model: keras.Model) -> float:
    return float(np.mean(np.asarray(model.get_layer("hidden").kernel) == 0))


def parameters(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(weight) for weight in model.weights]


class Zeros(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes down the zeros after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[np.ndarray] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(np.asarray(self.model.get_layer("hidden").kernel) == 0)


def test_zeros_become_more_by_the_schedule_and_stay(tmp_path: Path) -> None:
    """Every zero is kept by the optimizer's own step; the last choice leaves exactly the fraction asked for."""
    model, watch = classifier(), Zeros()
    technique = MagnitudePruning(fraction=0.75, end=0.5, every=2)
    fit(model, blobs(), CONFIG, tmp_path, callbacks=[watch], techniques=[technique])
    counts = [int(zeros.sum()) for zeros in watch.seen]  # 6 steps per epoch, 24 in all; hidden has 64 numbers
    for before, after in zip(watch.seen, watch.seen[1:], strict=False):
        assert not (before & ~after).any(), "a zero came back to life"
    assert counts[0] == 0 and counts[11:] == [48] * 13
    assert counts[1] == round(64 * 0.75 * (1 - (1 - 2 / 12) ** 3))  # Zhu and Gupta's cubic
    assert zeros_of(model) == 0.75
    assert np.all(np.asarray(model.get_layer("predictions").kernel) != 0), "the head stays whole"
    assert model.get_layer("hidden").kernel.constraint is None
    told = zoo.record_of(model).training["magnitude_pruning"]
    assert (told["zeros"], told["numbers"], told["fraction"]) == (48, 64, 0.75)


def test_a_killed_run_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    """Masks are saved with each epoch; a run in two processes ends as one."""
    technique = MagnitudePruning(fraction=0.6, end=0.8, every=4)
    whole, parts = classifier(), classifier()
    fit(whole, blobs(), CONFIG, tmp_path / "whole", techniques=[technique])
    paused = fit(parts, blobs(), CONFIG, tmp_path / "parts", techniques=[technique], pause=lambda event: True)
    assert paused.stopped == "paused" and 0.0 < zeros_of(parts) < 0.6
    again = classifier()
    report = fit(again, blobs(), CONFIG, tmp_path / "parts", techniques=[technique])
    assert report.resumed_from == 1
    for left, right in zip(parameters(whole), parameters(again), strict=True):
        np.testing.assert_array_equal(left, right)


def test_an_epoch_before_the_last_choice_is_not_the_best(tmp_path: Path) -> None:
    """A model that is not yet pruned would often be better, and is not what was asked for."""
    model = classifier()
    report = fit(model, blobs(), CONFIG.replace(learning_rate=0.1), tmp_path,
                 techniques=[MagnitudePruning(fraction=0.9, end=0.6)])
    assert report.best_epoch >= 3  # 15 of 24 steps
    assert round(zeros_of(model) * 64) == round(0.9 * 64)


def test_a_pattern_leaves_n_of_m(tmp_path: Path) -> None:
    """2:4: of four numbers along the inputs two are left, in every output."""
    model = classifier()
    fit(model, blobs(), CONFIG, tmp_path, techniques=[MagnitudePruning(pattern="2:4")])
    kernel = np.asarray(model.get_layer("hidden").kernel)  # [4, 16]
    assert np.all((kernel != 0).sum(axis=0) == 2)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    """Numbers out of range, and low-rank adapters, which freeze what pruning changes."""
    for wrong in ({}, {"fraction": 0.5, "pattern": "2:4"}, {"fraction": 1.0}, {"pattern": "4:2"},
                  {"fraction": 0.5, "begin": 0.6, "end": 0.5}, {"fraction": 0.5, "scope": "layer"},
                  {"fraction": 0.5, "every": 0}):
        with pytest.raises(ArgumentError):
            MagnitudePruning(**wrong)  # type: ignore[arg-type]
