"""`prune_run` and `zoo prune`: a trained model cut, recovered and saved as a run of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoo
from tests.command_line import zoo as command
from zoo.data_source import DataSource
from zoo.errors import ArgumentError
from zoo.pruned_runs import PRUNING_FILE, PruningPlan, prune_run, recovery_config
from zoo.runs import evaluate_run, train
from zoo.training import TrainingConfig


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A perceptron that tells the inside of a circle from the outside."""
    folder = tmp_path_factory.mktemp("prune")
    random = np.random.RandomState(0)
    points = random.uniform(-1, 1, (240, 2))
    rows = ["x,y,place", *(f"{x:.5f},{y:.5f},{'in' if x * x + y * y < 0.5 else 'out'}" for x, y in points)]
    (folder / "circle.csv").write_text("\n".join(rows) + "\n")
    train("mlp_binary", DataSource(path=str(folder / "circle.csv"), target=("place",)), folder / "run",
          TrainingConfig(epochs=12, batch_size=16, learning_rate=0.01),
          build={"hidden_units": 24, "hidden_activation": "relu"})
    return folder / "run"


def parameters(folder: Path) -> list[np.ndarray]:
    return [np.asarray(weight) for weight in zoo.load(folder).weights]


def test_a_pruned_run_is_a_run(run: Path, tmp_path: Path) -> None:
    """It is opened, judged and described like any other, and the one that it comes from is as it was."""
    before = parameters(run)
    result = prune_run(run, tmp_path / "small", PruningPlan(method="units", fraction=0.5))
    loaded = zoo.load(tmp_path / "small")
    assert loaded.get_layer("hidden").units == 16  # a multiple of 8
    assert set(result.measures) == {"before", "cut", "after"} and result.part == "test"
    record = zoo.record_of(loaded)
    assert record.metrics["test"]["accuracy"] == result.measures["after"]["accuracy"]
    assert record.weights["pruning"][0]["criterion"] == "taylor"
    assert evaluate_run(tmp_path / "small", bootstrap_samples=0).values["accuracy"] == \
        result.measures["after"]["accuracy"]
    told = json.loads((tmp_path / "small" / PRUNING_FILE).read_text())
    assert told["cost"]["after"]["parameters"] == loaded.count_params() < told["cost"]["before"]["parameters"]
    for old, new in zip(before, parameters(run), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_killed_pruning_goes_on_with_the_same_numbers(run: Path, tmp_path: Path) -> None:
    """In the second round of two, with a teacher: what the first left is found again."""
    plan, config = PruningPlan(method="units", fraction=0.6, rounds=2, multiple=1), recovery_config(
        zoo.record_of(zoo.load(run)), epochs=2)

    def prune(folder: Path, **options: Any) -> None:
        prune_run(run, folder, plan, config=config, teacher=run, **options)

    class Killed(Exception):
        pass

    seen: list[str] = []

    def kill(event: object) -> None:
        seen.append(type(event).__name__)
        if seen.count("EpochEnded") == 3:  # the first epoch of the second round
            raise Killed

    prune(tmp_path / "whole")
    with pytest.raises(Killed):
        prune(tmp_path / "parts", progress=kill)
    prune(tmp_path / "parts")
    for left, right in zip(parameters(tmp_path / "whole"), parameters(tmp_path / "parts"), strict=True):
        np.testing.assert_array_equal(left, right)
    assert len(zoo.record_of(zoo.load(tmp_path / "parts")).weights["pruning"]) == 2


def test_magnitude_keeps_the_architecture(run: Path, tmp_path: Path) -> None:
    """The model is still the registered one, and four fifths of its kernels are zero."""
    result = prune_run(run, tmp_path / "sparse", PruningPlan(method="magnitude", fraction=0.8))
    loaded = zoo.load(tmp_path / "sparse")
    record = zoo.record_of(loaded)
    assert record.registered and loaded.count_params() == zoo.load(run).count_params()
    told = record.training["magnitude_pruning"]
    assert abs(told["zeros"] / told["numbers"] - 0.8) < 0.01
    assert result.after.nonzero < 0.7 * result.after.parameters


def test_the_command_prunes_and_says_what_it_saves(run: Path, tmp_path: Path) -> None:
    """As JSON for machines; without recovery the folder holds the cut model alone."""
    shutil.copytree(run, tmp_path / "run")
    answer = command("prune", str(tmp_path / "run"), "--method", "units", "--fraction", "0.4", "--epochs", "0",
                         "--json").json()
    assert answer["folder"] == str(tmp_path / "run-pruned")
    assert answer["after"]["parameters"] < answer["before"]["parameters"]
    assert set(answer["measures"]) == {"before", "cut"}
    assert zoo.load(tmp_path / "run-pruned").count_params() == answer["after"]["parameters"]
    assert "no heads" in command("prune", str(run), "--method", "heads", "-o", str(tmp_path / "x")).error()
    assert "--teacher" in command("prune", str(run), "--temperature", "3").error()
    assert not (tmp_path / "x").exists()


def test_rounds_of_magnitude_are_refused() -> None:
    """Its schedule runs within one training."""
    with pytest.raises(ArgumentError, match="epochs"):
        PruningPlan(method="magnitude", fraction=0.5, rounds=2)
