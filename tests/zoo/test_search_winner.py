"""A search's winner is read as data, wherever its folder stands now; what is no search is told as such."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Workplace
from zoo.errors import ArgumentError, BundleError
from zoo.search_winner import read_winner


def recipe(search: Path, trial: str, **changes: Any) -> dict[str, Any]:
    return {"format": 1, "trial": trial, "values": {"hidden_units": 4}, "status": "completed",
            "measures": {"val_loss": 0.5}, "search": str(search), "run": str(search / f"trial_{trial}" / "execution0"),
            "model": "mlp_binary", "build": {"hidden_units": 4, "input_shape": [2]},
            "training": {"epochs": 2, "learning_rate": 0.01, "seed": 3},
            "data": {"path": "/data/points.csv", "target": ["label"], "seed": 1}} | changes


@pytest.fixture
def search(tmp_path: Path) -> Path:
    folder = tmp_path / "search"
    for trial in ("0000", "0001"):
        (folder / f"trial_{trial}" / "execution0").mkdir(parents=True)
        (folder / f"trial_{trial}" / "recipe.json").write_text(json.dumps(recipe(folder, trial)))
    (folder / "search.json").write_text("{}")
    (folder / "winner.json").write_text(json.dumps(recipe(folder, "0001")))
    return folder


def test_the_best_trial_and_others(search: Path) -> None:
    """The winner without a name; any trial by its number, with or without zeros."""
    winner = read_winner(search)
    assert (winner.trial, winner.model, winner.training["learning_rate"]) == ("0001", "mlp_binary", 0.01)
    assert winner.build == {"hidden_units": 4, "input_shape": (2,)}
    assert winner.data.target == ("label",)
    assert winner.measures == {"val_loss": 0.5}
    assert read_winner(search, "0").trial == read_winner(search, "0000").trial == "0000"


def test_a_search_that_was_moved(search: Path, tmp_path: Path) -> None:
    """The run is looked for where the search is now."""
    moved = Path(shutil.move(search, tmp_path / "elsewhere"))
    assert read_winner(moved).run == moved / "trial_0001" / "execution0"


def test_the_record_of_the_trained_model(search: Path, workplace: Workplace) -> None:
    """Labels and preprocessing come from the trial's own model; a model that is gone is told."""
    with pytest.raises(BundleError, match="no saved model"):
        read_winner(search).record()
    shutil.copytree(workplace.run("points"), search / "trial_0001" / "execution0", dirs_exist_ok=True)
    assert read_winner(search).record().labels == ("no", "yes")


def test_what_is_no_search_or_has_no_such_trial(search: Path, tmp_path: Path) -> None:
    """Each message says what to give instead."""
    with pytest.raises(BundleError, match=r"no search in .*nowhere"):
        read_winner(tmp_path / "nowhere")
    for trial in ("7", "../x", "x"):
        with pytest.raises(BundleError, match="no finished trial"):
            read_winner(search, trial)
    (search / "winner.json").unlink()
    with pytest.raises(BundleError, match="no best trial yet"):
        read_winner(search)


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"format": 9}', '{"format": 1, "model": "mlp_binary"}',
                                     json.dumps(recipe(Path("/s"), "0000", training=3)),
                                     json.dumps(recipe(Path("/s"), "0000", data={"nothing": 1}))])
def test_a_damaged_file(search: Path, content: str) -> None:
    """It is told, and not taken for a trial."""
    (search / "winner.json").write_text(content)
    with pytest.raises((BundleError, ArgumentError), match=r"winner\.json|which data"):
        read_winner(search)


def test_a_hypermodel_is_no_registered_model(search: Path) -> None:
    """Its trials are KerasTuner's to open."""
    values = {key: value for key, value in recipe(search, "0001").items() if key not in ("model", "build", "data")}
    (search / "winner.json").write_text(json.dumps(values | {"hypermodel": "model.py:build"}))
    with pytest.raises(ArgumentError, match="get_best_models"):
        read_winner(search)
