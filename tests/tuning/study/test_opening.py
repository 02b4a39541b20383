"""Opening a search: which one the folder holds, and what may differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tuning.study.parts import SPACE, Counting, configuration, run_all
from tuning.config import SearchConfig
from tuning.errors import SpaceError, StoreError
from tuning.folder import SearchFolder
from tuning.objectives import Objective
from tuning.study.study import Study
from zoo.data_source import DataSource
from zoo.errors import ArgumentError


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    return SearchFolder.at(tmp_path / "search")


@pytest.mark.parametrize(("changes", "words"), [
    ({"oracle": "bayesian"}, '`oracle` is "random" there, and "bayesian" was given'),
    ({"seed": 1}, "`seed` is 0 there, and 1 was given"),
    ({"build": {"units": 3}}, "`build.units` is nothing there, and 3 was given"),
    ({"data": DataSource(path="/b")}, '`data.path` is "/a" there, and "/b" was given'),
    ({"objectives": (Objective.parse("val_loss"), Objective.parse("size_mb"))},
     '`objectives` is ["min:val_loss"] there, and ["min:val_loss", "min:size_mb"] was given'),
    ({"space": SPACE.changed({"dropout": "0.1..0.2"}).to_dict(), "seed": 2},
     "`space.dimensions.dropout.low` is 0.0 there, and 0.1 was given"),
])
def test_another_search_is_refused(folder: SearchFolder, changes: dict[str, object], words: str) -> None:
    """A folder is not gone on with as another search; the message has the field and both values."""
    config = configuration(data=DataSource(path="/a"))
    Study.open(folder, config, driver=Counting).close()
    before = folder.config.read_bytes(), folder.journal.read_bytes()
    with pytest.raises(StoreError) as raised:
        Study.open(folder, config.replace(**changes), driver=Counting)
    assert words in str(raised.value) and "another folder" in str(raised.value)
    assert (folder.config.read_bytes(), folder.journal.read_bytes()) == before
    Study.open(folder, config, driver=Counting).close()  # and the lock is free


def test_bounds_may_change(folder: SearchFolder) -> None:
    """How long a search goes on is no part of which search it is, and the new bounds are kept."""
    Study.open(folder, configuration(), driver=Counting).close()
    changes = {"trials": None, "total_epochs": 9, "minutes": 2.0, "retries": 4, "trial_minutes": 1.0}
    Study.open(folder, configuration(**changes), driver=Counting).close()
    with Study.open(folder, driver=Counting) as study:
        assert {name: getattr(study.config, name) for name in changes} == changes
    assert json.loads(folder.config.read_text())["config"]["total_epochs"] == 9


def test_a_broken_configuration_is_named(folder: SearchFolder) -> None:
    """A search.json that cannot be read is refused with the remedy, which works; so is one of a later format."""
    Study.open(folder, configuration(), driver=Counting).close()
    whole = folder.config.read_text()
    folder.config.write_text(whole[:-20])
    with pytest.raises(StoreError, match=r"search\.json: .* remove it: the journal holds the same"):
        Study.open(folder, driver=Counting)
    folder.config.write_text(whole.replace('"format": 1', '"format": 2'))
    with pytest.raises(StoreError, match="has format 2; this version reads 1"):
        Study.open(folder, driver=Counting)
    folder.config.unlink()
    with Study.open(folder, driver=Counting) as study:
        assert study.config == configuration()


def test_what_json_cannot_hold_is_refused(folder: SearchFolder) -> None:
    """A configuration with an object in it is refused before anything is searched, and a good one then begins."""
    with pytest.raises(ArgumentError, match="plain data"):
        Study.open(folder, configuration(build={"units": object()}), driver=Counting)
    with Study.open(folder, configuration(), driver=Counting) as study:
        run_all(study)


def test_an_oracle_that_cannot_begin_frees_the_folder(folder: SearchFolder) -> None:
    """A space that is empty is refused with its own words, and the folder is not kept by it."""

    def refuse(*_: object) -> Counting:
        raise SpaceError("The search has no hyperparameters")

    with pytest.raises(SpaceError, match="no hyperparameters"):
        Study.open(folder, configuration(), driver=refuse)
    Study.open(folder, configuration(oracle="grid"), driver=Counting).close()


def test_a_hypermodels_space_is_declared_from_its_description(folder: SearchFolder) -> None:
    """`declare` is asked with what describes the program, for a hypermodel alone."""
    asked = []
    made: list[Counting] = []

    def driver(*given: object) -> Counting:
        made.append(Counting(*given))  # type: ignore[arg-type]
        return made[-1]

    def declare(description: object) -> str:
        asked.append(description)
        return "declared"

    config = SearchConfig(hypermodel="models.py:build")
    with Study.open(folder, config, driver=driver, declare=declare) as study:  # type: ignore[arg-type]
        assert asked == [study.program] and made[0].declared == "declared"
    other = SearchFolder.at(folder.path.with_name("other"))
    Study.open(other, configuration(), driver=driver, declare=declare).close()  # type: ignore[arg-type]
    assert len(asked) == 1 and made[1].declared is None
