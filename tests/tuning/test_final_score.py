"""The winner is judged on the part that nobody chose by: in a process of its own, and once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.command_line import zoo
from tests.conftest import Workplace
from tuning.config import SearchConfig
from tuning.errors import SearchError
from tuning.final_score import final_score, known_score
from tuning.folder import SearchFolder
from zoo.data_source import DataSource


def search_of(run: Path, folder: Path) -> SearchFolder:
    place = SearchFolder.at(folder)
    place.trial("0000").mkdir(parents=True)
    shutil.copytree(run, place.execution("0000"))
    return place


def config_of(test_fraction: float = 0.15) -> SearchConfig:
    return SearchConfig(model="mlp_binary", data=DataSource(path="points.csv", target=("label",),
                                                            test_fraction=test_fraction))


def test_it_is_what_zoo_evaluate_says_and_is_measured_once(workplace: Workplace, tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures are those of the held-out part; the same parameters are not judged again."""
    place = search_of(workplace.run("points"), tmp_path / "s")
    found = final_score(config_of(), place, "0000")
    assert found is not None
    other = shutil.copytree(workplace.run("points"), tmp_path / "run")
    report = zoo("evaluate", other, "--bootstrap-samples", 0, "--json").json()
    assert found.examples == report["examples"]
    assert found.measures["accuracy"] == report["metrics"]["accuracy"]["value"]
    assert known_score(place) == found
    assert (place.execution("0000") / "report" / "report.md").is_file()
    monkeypatch.setattr("sys.executable", "/nonexistent")  # another process would fail
    assert final_score(config_of(), place, "0000") == found


def test_without_a_test_part_there_is_none(workplace: Workplace, tmp_path: Path) -> None:
    """Nor where a trial has no model."""
    place = search_of(workplace.run("points"), tmp_path / "s")
    assert final_score(config_of(test_fraction=0.0), place, "0000") is None
    assert final_score(config_of(), place, "0001") is None
    assert final_score(SearchConfig(hypermodel="model.py:build"), place, "0000") is None
    assert known_score(place) is None


def test_a_failure_says_what_to_do(workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial, what the process said, and the command that shows it again; a damaged model is told at once."""
    place = search_of(workplace.run("points"), tmp_path / "s")
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'error: the data are gone.' >&2; exit 2\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    with pytest.raises(SearchError, match=r"trial 0000 is the best, but .*: the data are gone\. Try: zoo evaluate "):
        final_score(config_of(), place, "0000")
    (place.execution("0000") / "bundle.json").write_text("{}")
    with pytest.raises(SearchError, match=r"bundle\.json cannot be read"):
        final_score(config_of(), place, "0000")


def test_a_damaged_file_is_measured_anew(tmp_path: Path) -> None:
    """What is no score counts as none."""
    place = SearchFolder.at(tmp_path)
    for content in ("{", "[]", json.dumps({"format": 2}), json.dumps({"format": 1, "trial": "0"})):
        (tmp_path / "final.json").write_text(content)
        assert known_score(place) is None
