"""A run of `zoo.runs.train` that pauses, and what is noted in its record."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import zoo
from tests.command_line import write_line
from zoo.runs import DataSource, RunResult, evaluate_run, train
from zoo.training import TrainingConfig

CONFIG = TrainingConfig(epochs=4, batch_size=4, optimizer="momentum", learning_rate=0.02, schedule="cosine")


def parameters(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(weight) for weight in model.weights]


def test_a_paused_run_is_a_usable_model_and_goes_on(tmp_path: Path) -> None:
    """While it rests the folder can be opened and judged; the same call ends with the numbers of a whole run."""
    source = DataSource(path=str(write_line(tmp_path / "line.csv")), target=("y",))

    def run(folder: str, until: int) -> RunResult:
        return train("linear_regression", source, tmp_path / folder, CONFIG, pause=lambda event: event.epoch >= until)

    paused = run("parts", 2)
    assert paused.report.stopped == "paused"
    loaded = zoo.load(tmp_path / "parts")
    assert zoo.record_of(loaded).training["epochs"] == 2
    assert [p.tolist() for p in parameters(loaded)] == [p.tolist() for p in parameters(paused.model)]
    assert evaluate_run(tmp_path / "parts", bootstrap_samples=0).examples > 0

    ended, whole = run("parts", 4), run("whole", 4)
    assert ended.report.history == whole.report.history
    assert ended.report.stopped == "completed" and ended.report.resumed_from == 2
    for left, right in zip(parameters(ended.model), parameters(whole.model), strict=True):
        np.testing.assert_array_equal(left, right)
    assert zoo.record_of(zoo.load(tmp_path / "parts")).training == zoo.record_of(whole.model).training


def test_notes_stand_in_the_saved_record(tmp_path: Path) -> None:
    """What a run is part of is saved with the model, and does not hinder judging it or calling it again."""
    source = DataSource(path=str(write_line(tmp_path / "line.csv")), target=("y",))

    def run() -> RunResult:
        return train("linear_regression", source, tmp_path / "r", CONFIG.replace(epochs=1),
                     notes={"search": {"trial": "0007"}})

    run()
    assert zoo.record_of(zoo.load(tmp_path / "r")).training["search"] == {"trial": "0007"}
    evaluate_run(tmp_path / "r", bootstrap_samples=0)
    assert run().report.already_finished
    record = zoo.record_of(zoo.load(tmp_path / "r"))
    assert record.training["search"] == {"trial": "0007"} and "test" in record.metrics


def test_what_is_raised_before_the_training_leaves_nothing(tmp_path: Path) -> None:
    """A model that is refused as soon as it is built costs no epoch and no folder."""
    source = DataSource(path=str(write_line(tmp_path / "line.csv")), target=("y",))

    def refuse(model: keras.Model) -> None:
        raise RuntimeError("too slow")

    with pytest.raises(RuntimeError, match="too slow"):
        train("linear_regression", source, tmp_path / "r", CONFIG, built=refuse)
    assert not (tmp_path / "r").exists()
