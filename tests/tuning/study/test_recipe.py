"""What rebuilds a trial is written as soon as it is known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.tuning.study.parts import Counting, configuration, run_all
from tuning.config import SearchConfig
from tuning.folder import SearchFolder
from tuning.study.study import Study
from tuning.trial import TrialOutcome
from zoo.data_source import DataSource
from zoo.search_winner import read_winner


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    return SearchFolder.at(tmp_path / "search")


def test_the_winner_is_written_whenever_it_changes(folder: SearchFolder) -> None:
    """After each trial winner.json names the best so far, and there is none before the first."""
    with Study.open(folder, configuration(trials=5), driver=Counting) as study:
        assert not folder.winner.exists()
        for loss in (3.0, 4.0, 2.0, math.nan, 2.0):
            study.tell(study.ask().trial, TrialOutcome(status="completed", executions=[{"val_loss": loss}]))  # type: ignore[union-attr]
            winner = json.loads(folder.winner.read_text())
            assert winner["trial"] == study.best().id  # type: ignore[union-attr]
        assert winner["trial"] == "0002", "of equal trials the earlier one"
        assert winner["measures"] == {"val_loss": 2.0}
        assert winner["run"] == str(folder.path / "trial_0002" / "execution0")


def test_a_recipe_holds_what_rebuilds_the_model(folder: SearchFolder) -> None:
    """Fixed and searched arguments stand together, the data with their absolute path, and `zoo` reads it."""
    config = configuration(build={"hidden": [8]}, training={"optimizer": "adam"}, seed=7,
                           data=DataSource(path="points.csv", target=("y",), validation_fraction=0.2))
    with Study.open(folder, config, driver=Counting) as study:
        run_all(study)
        best = study.best()
    assert best is not None
    winner = json.loads(folder.winner.read_text())
    assert winner["build"] == {"hidden": [8], "dropout": best.values["dropout"]}
    assert winner["training"] == {"optimizer": "adam", "learning_rate": 0.01, "epochs": 3, "seed": 7 + int(best.id)}
    assert winner["data"]["path"] == str(Path("points.csv").absolute()) and winner["data"]["target"] == ["y"]
    assert json.loads((folder.trial(best.id) / "recipe.json").read_text()) == winner
    read = read_winner(folder.path)
    assert (read.trial, read.model, read.data.validation_fraction) == (best.id, "mlp_binary", 0.2)
    assert read_winner(folder.path, "1").trial == "0001"


def test_a_hypermodels_recipe_holds_no_model_of_ours(folder: SearchFolder) -> None:
    """A hypermodel's winner has its values and measures alone."""
    config = SearchConfig(hypermodel="models.py:build", data_function="models.py:data", trials=1, epochs=1)
    with Study.open(folder, config, driver=Counting) as study:
        run_all(study)
    winner = json.loads(folder.winner.read_text())
    assert winner["hypermodel"] == "models.py:build" and winner["values"]["learning_rate"] == 0.01
    assert not {"model", "build", "data", "training"} & set(winner)


def test_a_failed_trial_has_a_recipe_too(folder: SearchFolder) -> None:
    """What failed can be built again to see why; its measures that are no numbers are written as words."""
    with Study.open(folder, configuration(), driver=Counting) as study:
        study.ask(), study.ask()
        study.tell("0000", TrialOutcome(status="failed", kind="error", error="x"))
        study.tell("0001", TrialOutcome(status="completed", executions=[{"val_loss": math.inf}]))
    recipe = json.loads((folder.trial("0000") / "recipe.json").read_text())
    assert recipe["status"] == "failed" and recipe["build"] == {"dropout": 0.0}
    assert json.loads((folder.trial("0001") / "recipe.json").read_text())["measures"] == {"val_loss": "inf"}
