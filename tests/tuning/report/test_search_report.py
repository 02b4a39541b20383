"""The report of a search, from a real study's folder."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.tuning.report.searches import CONFIG, attempt, open_search
from tuning.folder import SearchFolder
from tuning.report.search_report import SearchReport
from tuning.study.state import read_search

PLOTS = {"history.png", "curves.png", "parallel.png", "importance.png", "front.png"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("search")
    with open_search(path):
        pass
    return path


@pytest.fixture(scope="module")
def written(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("report")
    SearchReport.of(read_search(SearchFolder.at(folder))).save(target)
    return target


def test_the_report_names_the_best_and_the_front(folder: Path) -> None:
    """They are the study's own: the best of those that meet the constraint, and what nothing beats."""
    report = SearchReport.of(read_search(SearchFolder.at(folder)))
    view = read_search(SearchFolder.at(folder))
    assert report.best == view.best and report.best is not None
    assert report.best.values["width"] == 64
    assert {trial.values["width"] for trial in report.front} == {16, 64}
    assert report.statuses == {"completed": 15, "infeasible": 8, "failed": 1}
    assert report.steps[-1].best == report.best.measures["val_accuracy"]
    assert not report.running


def test_the_learning_rate_is_found_to_matter(folder: Path) -> None:
    """The accuracy was made from the learning rate; the importance says so."""
    found = SearchReport.of(read_search(SearchFolder.at(folder))).importance
    assert found.trials == 15
    assert next(iter(found.shares)) == "learning_rate"
    assert found.shares["learning_rate"] > 0.7


def test_json_and_csv_hold_every_trial(written: Path) -> None:
    """What is missing is null or empty, never a word that only Python reads."""
    data = json.loads((written / "report.json").read_text(), parse_constant=pytest.fail)
    assert [trial["id"] for trial in data["trials"]] == [f"{i:04}" for i in range(24)]
    assert data["trials"][0]["history"][2]["values"]["val_accuracy"] == pytest.approx(data["steps"][0]["value"])
    assert data["trials"][0]["history"][2]["epoch"] == 3
    assert data["trials"][7]["history"][0]["values"] == {"val_accuracy": None}
    with (written / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == [trial["status"] for trial in data["trials"]]
    assert len((written / "epochs.csv").read_text().splitlines()) == 1 + 15 * 3 + 1


def test_the_report_in_words_says_what_came_of_it(written: Path) -> None:
    """Counts, the best trial, failures with their cause; every picture that it shows is there."""
    text = (written / "report.md").read_text()
    assert text.startswith("# Search: mlp\n\n24 trials (15 completed, 8 outside the constraints, 1 failed), 46 epochs")
    assert "| 1 | error | The loss is no number \\| from epoch 1 on. |" in text
    shown = {line.split("(")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")}
    assert shown == PLOTS


def test_the_plots_are_drawn(written: Path) -> None:
    """Each is a picture with more than one colour in it."""
    for name in PLOTS:
        with Image.open(written / name) as image:
            assert image.width > 300 and len(image.convert("RGB").getcolors(1 << 20) or ()) > 20


def test_a_running_search_can_be_reported(tmp_path: Path) -> None:
    """While another holds the lock: what runs is said to run, and a later report replaces this one."""
    target = tmp_path / "search" / "report"
    with open_search(tmp_path / "search", ended=5) as study:
        task = study.ask()
        assert task is not None
        report = SearchReport.of(read_search(study.folder))
        early = report.save(target)
        assert report.running and report.statuses["running"] == 1
        assert "at least 10 trials" in report.importance.note
        assert not (target / "importance.png").exists()
        assert "still running" in (target / "report.md").read_text()
        study.tell(task.trial, attempt(study, task.trial, task.values))
    later = SearchReport.of(read_search(SearchFolder.at(tmp_path / "search"))).save(target)
    assert set(early) == set(later)
    assert "still running" not in (target / "report.md").read_text()
    assert not list(target.rglob("*.writing"))


def test_a_search_without_a_trial_has_a_report(tmp_path: Path) -> None:
    """No plot is drawn of nothing, and the words say so."""
    with open_search(tmp_path / "search", CONFIG.replace(objectives=CONFIG.objectives[:1]), ended=0) as study:
        files = SearchReport.of(read_search(study.folder)).save(tmp_path / "report")
    assert {file.name for file in files} == {"report.json", "report.md", "trials.csv", "epochs.csv"}
    assert "No trial has begun yet." in (tmp_path / "report" / "report.md").read_text()


def test_a_report_loads_no_tensorflow() -> None:
    """Looking at a search does not wait for TensorFlow or KerasTuner."""
    code = ("import sys, tuning.report.search_report; "
            "sys.exit(bool({'tensorflow', 'keras', 'keras_tuner'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
