"""From a trial to a served model, with the search that found it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import zoo
from serving.manifest import read_manifest
from tests.tuning.programs.in_memory import MemoryContext, points, search
from tuning.config import SearchConfig
from tuning.errors import SearchError
from tuning.folder import SearchFolder
from tuning.handover import installed_exporter, publish, record_search
from tuning.programs.running import run_task
from tuning.study.study import Study


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> SearchConfig:
    data = points(tmp_path_factory.mktemp("data"))
    return search(data, objectives=("val_accuracy", "parameters"), epochs=1, trials=2)


@pytest.fixture(scope="module")
def searched(config: SearchConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchFolder, str]:
    """A search of two trials, and its best."""
    folder = SearchFolder.at(tmp_path_factory.mktemp("searches") / "points")
    with Study.open(folder, config) as study:
        while (task := study.ask()) is not None:
            context = MemoryContext(folder.path, task)
            outcome = run_task(study.program, context)
            for report in context.reports:
                study.report(task.trial, report)
            study.tell(task.trial, outcome)
        best = study.best()
    assert best is not None
    return folder, best.id


def test_the_search_stands_in_manifest_and_card(searched: tuple[SearchFolder, str], tmp_path: Path) -> None:
    """A published trial tells of the search what is known at its end: values, measures, and how many there were."""
    folder, best = searched
    other = next(name for name in ("0000", "0001") if name != best)
    published = publish(folder.execution(best), tmp_path, name="points")
    assert (published.name, published.version, published.path) == ("points", 1, tmp_path / "points" / "1")
    note = read_manifest(published.path).record["training"]["search"]
    assert (note["folder"], note["trial"], note["trials"], note["best"]) == ("points", best, 2, True)
    assert set(note["values"]) == {"learning_rate"} and note["objectives"] == ["max:val_accuracy", "min:parameters"]
    assert note["measures"]["parameters"] > 0 and 0 <= note["measures"]["val_accuracy"] <= 1
    assert f"- Search: trial {best}, the best of 2 in `points`" in (published.path / "MODEL_CARD.md").read_text()
    second = publish(folder.execution(other), tmp_path, name="points")
    assert second.version == 2 and read_manifest(second.path).record["training"]["search"]["best"] is False


def test_what_was_saved_stays(searched: tuple[SearchFolder, str]) -> None:
    """Noting the search down changes neither parameters nor measures, and a second time nothing at all."""
    run = searched[0].execution(searched[1])
    before = json.loads((run / "bundle.json").read_text())
    record_search(run)
    once = (run / "bundle.json").read_bytes()
    after = json.loads(once)
    assert before["files"] == after["files"]
    for part in (before, after):
        part["record"]["training"].pop("search")
    assert before == after
    record_search(run)
    assert (run / "bundle.json").read_bytes() == once


def test_any_run_can_be_published(tmp_path: Path) -> None:
    """A run that is part of no search is exported as it is."""
    zoo.save(zoo.build("linear_regression", features=3), tmp_path / "trial_0" / "execution0")
    seen: list[Any] = []

    def exporter(folder: Path, root: Path, *, name: str | None) -> Path:
        seen.append((folder, root, name))
        return root / "line" / "3"

    published = publish(tmp_path / "trial_0" / "execution0", tmp_path / "models", exporter=exporter)
    assert (published.name, published.version) == ("line", 3)
    assert seen == [(tmp_path / "trial_0" / "execution0", tmp_path / "models", None)]
    assert "search" not in zoo.record_of(zoo.load(tmp_path / "trial_0" / "execution0")).training


def test_a_trial_without_a_model_cannot_be_published(tmp_path: Path) -> None:
    """The message says what to do with a hypermodel's."""
    with pytest.raises(SearchError, match=r"holds no model that can be exported.*get_best_models"):
        publish(tmp_path, tmp_path / "models")
    assert installed_exporter().__name__ == "export_run"
