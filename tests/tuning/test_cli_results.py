"""`zoo tune status`, `stop`, `best` and `report`: what they show of a search that runs, rests or is none."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import zoo
from tests.tuning.inline_engine import InlineEngine
from tuning.config import SearchConfig
from tuning.folder import SearchFolder
from tuning.objectives import Constraint, Objective
from tuning.run import run_search
from tuning.spaces import Dimension, SearchSpace
from tuning.study.study import Study
from tuning.trial import EpochReport

SPACE = SearchSpace((Dimension(name="units", kind="int", low=1, high=64), Dimension(name="rate", kind="float", low=1e-4,
                                                                                    high=1e-1, log=True)))
CONFIG = SearchConfig(model="mlp_binary", space=SPACE.to_dict(), trials=12, epochs=2, oracle="random",
                      objectives=(Objective(name="val_loss", direction="min"),
                                  Objective(name="size_mb", direction="min")),
                      constraints=(Constraint(name="size_mb", relation="<=", bound=60.0),))


def measures_of(values: Any, epoch: int) -> dict[str, float]:
    return {"val_loss": abs(values["units"] - 40) / epoch, "size_mb": float(values["units"])}


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "s"
    run_search(CONFIG, folder, engine=InlineEngine(measures_of), judge=False)
    return folder


def test_the_status_of_a_finished_search(search: Path) -> None:
    """State, budget, the best trial first with its measures; a long table says how much is left out."""
    answer = zoo("tune", "status", search).ok()
    assert answer.out.startswith("mlp_binary: finished; 12 of 12 trials, 24 epochs")
    rows = [line.split() for line in answer.out.splitlines() if line.strip().startswith("00")]
    assert len(rows) == 10
    assert rows[0][1] == "best"
    assert float(rows[0][2]) <= float(rows[1][2])
    assert "2 more with --all" in answer.out
    everything = zoo("tune", "status", search, "--all").ok().out
    assert sum(line.strip().startswith("00") for line in everything.splitlines()) == 12


def test_the_status_as_json(search: Path) -> None:
    """The same for machines."""
    status = zoo("tune", "status", search, "--json").json()
    assert (status["running"], status["reason"], status["progress"]["trials"]) == (False, "finished", 12)
    assert len(status["trials"]) == 12
    assert status["best"] in status["front"]


def test_a_search_that_runs_is_seen_and_stopped(tmp_path: Path) -> None:
    """Its process, its running trial; a stop waits until it has ended, and says how it goes on."""
    place, stopped = SearchFolder.at(tmp_path / "s"), []
    with Study.open(place, CONFIG) as study:
        task = study.ask()
        assert task is not None
        study.report(task.trial, EpochReport(epoch=1, values={"val_loss": 1.0}))
        status = zoo("tune", "status", place.path).ok().out
        assert "running (process" in status
        assert "0000" in status
        waiting = threading.Thread(target=lambda: stopped.append(zoo("tune", "stop", place.path)))
        waiting.start()
        while not study.stopping:
            time.sleep(0.01)
        assert zoo("tune", "status", place.path).ok().out.startswith("mlp_binary: stopping (process")
        assert waiting.is_alive()
    waiting.join(timeout=30)
    assert "The search has stopped. It goes on with: zoo tune resume" in stopped[0].ok().out
    assert "stopped, and can go on" in zoo("tune", "status", place.path).ok().out
    assert "No process works on the search" in zoo("tune", "stop", place.path).ok().out


def test_the_best_trial_and_the_front(search: Path) -> None:
    """The best by the first objective with its hyperparameters; the front is numbered, and a number chooses of it."""
    answer = zoo("tune", "best", search).ok().out
    best = zoo("tune", "best", search, "--json").json()
    assert f"trial {best['trial']['id']}, the best of 12" in answer
    assert f"units = {best['trial']['values']['units']}" in answer
    for number, trial in enumerate(best["front"], 1):
        assert f"  {number}. trial {trial}: val_loss" in answer
        assert zoo("tune", "best", search, "--pareto", number, "--json").json()["trial"]["id"] == trial
    other = zoo("tune", "best", search, "--trial", "3").ok().out
    assert other.startswith("trial 0003, ")
    assert "--from-search" in other


@pytest.mark.parametrize(("words", "said"), [
    (("best", "--trial", "99"), "no trial '99'"), (("best", "--pareto", "99"), "Received: --pareto 99"),
    (("best", "--trial", "1", "--pareto", "1"), "Give one of them"), (("best", "--name", "x"), "--export ROOT"),
    (("best", "--export", "models"), "has no trained model")])
def test_what_cannot_be_chosen(search: Path, words: tuple[str, ...], said: str) -> None:
    """The message says what there is."""
    assert said in zoo("tune", words[0], search, *words[1:]).error()


@pytest.mark.parametrize("command", ["status", "stop", "best", "report", "resume"])
def test_a_folder_without_a_search(tmp_path: Path, command: str) -> None:
    """Is told as one, and stays as it was."""
    assert "no search in" in zoo("tune", command, tmp_path / "x").error()
    assert not (tmp_path / "x").exists()


def test_a_search_without_a_result(tmp_path: Path) -> None:
    """No trial met the constraints: that is what is said, not an error of the program."""
    run_search(CONFIG.replace(constraints=(Constraint(name="size_mb", relation="<=", bound=0.0),), trials=2),
               tmp_path / "s", engine=InlineEngine(measures_of), judge=False)
    assert "no best trial yet: of 2 trials none" in zoo("tune", "best", tmp_path / "s").error()
    assert "finished; 2 of 2 trials" in zoo("tune", "status", tmp_path / "s").ok().out


def test_the_report(search: Path, tmp_path: Path) -> None:
    """The files are written where they are wanted and listed."""
    answer = zoo("tune", "report", search, "-o", tmp_path / "r").ok().out
    written = {path.name for path in (tmp_path / "r").iterdir()}
    assert {"report.json", "report.md", "trials.csv", "history.png"} <= written
    assert "tensorboard --logdir" in answer
    assert str(tmp_path / "r" / "report.md") in answer
    data = zoo("tune", "report", search, "-o", tmp_path / "r", "--json").json()
    assert len(data["trials"]) == len(json.loads((tmp_path / "r" / "report.json").read_text())["trials"]) == 12
