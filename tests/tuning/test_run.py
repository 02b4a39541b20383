"""A whole search: what comes back, what is refused, and that an earlier one is removed only where it is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tuning.inline_engine import InlineEngine
from tuning.config import SearchConfig
from tuning.errors import SearchError, StoreError
from tuning.executors.local import LocalEngine
from tuning.executors.ray_cluster import RayEngine
from tuning.folder import SearchFolder
from tuning.objectives import Objective
from tuning.run import ENGINES, make_engine, remove_search, run_search
from tuning.spaces import Dimension, SearchSpace
from tuning.study.study import Study
from zoo.errors import ArgumentError

SPACE = SearchSpace((Dimension(name="units", kind="int", low=1, high=64),))


def config_of(**changes: Any) -> SearchConfig:
    return SearchConfig(model="mlp_binary", space=SPACE.to_dict(), trials=5, epochs=2, **changes)


def loss_of(values: Any, epoch: int) -> dict[str, float]:
    return {"val_loss": abs(values["units"] - 20) / epoch, "size_mb": float(values["units"])}


def test_the_best_trial_comes_back(tmp_path: Path) -> None:
    """All trials with their measures, the best of them, and that the budget is used up; the same call repeats none."""
    engine = InlineEngine(loss_of)
    result = run_search(config_of(), tmp_path / "s", engine=engine, judge=False)
    assert result.finished
    assert len(result.trials) == len(engine.ran) == 5
    assert result.best is not None
    assert result.best.measures["val_loss"] == min(trial.measures["val_loss"] for trial in result.trials.values())
    assert result.front == (result.best,)
    again = InlineEngine(loss_of)
    repeated = run_search(None, tmp_path / "s", engine=again, judge=False)
    assert again.ran == []
    assert repeated.to_dict() == result.to_dict()


def test_a_stopped_search_is_not_finished_and_goes_on(tmp_path: Path) -> None:
    """What was asked to stop gives its trials so far; the next call runs only the rest."""
    first = run_search(config_of(), tmp_path / "s", engine=InlineEngine(loss_of, stop_after=2))
    assert not first.finished
    assert first.final is None
    rest = InlineEngine(loss_of)
    second = run_search(config_of(), tmp_path / "s", engine=rest, judge=False)
    assert second.finished
    assert len(first.trials) + len(rest.ran) == len(second.trials) == 5


def test_with_several_objectives_the_front_comes_back(tmp_path: Path) -> None:
    """No trial of the front is beaten in every objective."""
    objectives = (Objective(name="val_loss", direction="min"), Objective(name="size_mb", direction="min"))
    result = run_search(config_of(objectives=objectives), tmp_path / "s", engine=InlineEngine(loss_of), judge=False)
    points = [(trial.measures["val_loss"], trial.measures["size_mb"]) for trial in result.trials.values()]
    for trial in result.front:
        own = trial.measures["val_loss"], trial.measures["size_mb"]
        assert not any(other[0] < own[0] and other[1] < own[1] for other in points)


def test_a_mistake_that_fails_every_trial_is_told_as_one(tmp_path: Path) -> None:
    """The message holds the trial's own and where its log is."""
    def refuse(values: Any, epoch: int) -> dict[str, float]:
        raise ValueError("There is no column 'x'.")

    with pytest.raises(SearchError, match=r"trials failed, the last one so: There is no column 'x'\. .*log\.txt"):
        run_search(config_of(), tmp_path / "s", engine=InlineEngine(refuse))


def test_a_search_is_removed_only_if_it_is_one(tmp_path: Path) -> None:
    """Files of somebody's stay; a search that runs stays; an ended one makes room for another."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("mine")
    with pytest.raises(ArgumentError, match=r"no search's"):
        remove_search(SearchFolder.at(tmp_path / "own"))
    assert (tmp_path / "own" / "thesis.txt").exists()
    remove_search(SearchFolder.at(tmp_path / "nothing"))
    place = SearchFolder.at(tmp_path / "s")
    with Study.open(place, config_of()), pytest.raises(StoreError, match="Another process works on this search"):
        remove_search(place)
    assert place.config.is_file()
    other = config_of(seed=7)
    with pytest.raises(StoreError, match="holds another search"):
        run_search(other, place.path, engine=InlineEngine(loss_of))
    assert run_search(other, place.path, engine=InlineEngine(loss_of), restart=True, judge=False).finished


def test_engines_by_name() -> None:
    """Each name makes its engine; what does not exist or is not taken is told with what is."""
    local = make_engine("local", jobs=1, memory_bytes=None)
    assert isinstance(local, LocalEngine)
    assert local.jobs == 1
    assert isinstance(make_engine("ray", max_concurrent=2), RayEngine)
    with pytest.raises(ArgumentError, match=f"Unknown engine 'spark'.*{', '.join(ENGINES)}"):
        make_engine("spark")
    with pytest.raises(ArgumentError, match=r"The engine local does not take `address`\. It takes: jobs"):
        make_engine("local", address="a:1")
