"""What follows from a model and what a user says: space, objectives, budget; and what is refused before a trial."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tuning.errors import SpaceError
from tuning.objectives import Constraint, Objective
from tuning.plan import DEFAULT_TRIALS, SpaceWishes, plan, plan_hypermodel
from tuning.spaces import Dimension, SearchSpace
from zoo.data_source import DataSource
from zoo.errors import ArgumentError, UnknownNameError


@pytest.fixture
def table(tmp_path: Path) -> DataSource:
    path = tmp_path / "table.csv"
    path.write_text("a,y\n1,0\n2,1\n")
    return DataSource(path=str(path), target=("y",))


def names(config: Any) -> set[str]:
    return {entry["name"] for entry in config.space["dimensions"]}


@pytest.mark.parametrize(("model", "objective"), [
    ("mlp_binary", "max:val_accuracy"), ("softmax_1000", "max:val_accuracy"), ("linear_regression", "min:val_loss")])
def test_what_is_left_out_follows_from_the_model(table: DataSource, model: str, objective: str) -> None:
    """Classifiers get better in accuracy, others in loss; the epoch that is kept is the best one by that."""
    config = plan(model, table)
    assert [str(one) for one in config.objectives] == [objective]
    assert config.training["monitor"] == objective.partition(":")[2]
    assert (config.oracle, config.trials) == ("bayesian", DEFAULT_TRIALS)
    assert "learning_rate" in names(config)


def test_the_space_can_be_narrowed_and_widened(table: DataSource, tmp_path: Path) -> None:
    """Settings, a file, fixed values and a choice of names all reach the configuration."""
    (tmp_path / "space.yaml").write_text("dropout: 0.1..0.3\n")
    wishes = SpaceWishes(file=tmp_path / "space.yaml", settings={"learning_rate": "log:1e-4..1e-3"},
                         only=("dropout",), fixed={"optimizer": "adam", "clip_norm": 1.0})
    config = plan("mlp_binary", table, wishes=wishes)
    space = SearchSpace.from_dict(config.space)
    assert {d.name for d in space.dimensions if d.kind != "fixed"} == {"dropout", "learning_rate"}
    assert (space["learning_rate"].low, space["learning_rate"].high, space["learning_rate"].log) == (1e-4, 1e-3, True)
    assert (space["dropout"].low, space["dropout"].high) == (0.1, 0.3)
    _, training, _ = space.split({})
    assert (training["optimizer"], training["clip_norm"]) == ("adam", 1.0)
    assert json.loads(json.dumps(config.to_dict())) == config.to_dict()


def test_an_argument_of_every_trial_is_not_searched(table: DataSource) -> None:
    """What is given for all trials leaves the space, unless it is set to be searched."""
    config = plan("mlp_binary", table, build={"hidden_units": 7}, training={"batch_size": 16})
    assert not {"hidden_units", "batch_size"} & names(config)
    assert config.build == {"hidden_units": 7}
    both = plan("mlp_binary", table, build={"hidden_units": 7}, wishes=SpaceWishes(settings={"hidden_units": "4,8"}))
    assert "hidden_units" in names(both)
    assert both.build == {}


def test_a_whole_space_is_taken_as_it_is(table: DataSource) -> None:
    """From a SearchSpace or what it wrote, such as a search.json."""
    space = SearchSpace((Dimension(name="hidden_units", choices=(4, 8)),), "mlp_binary")
    assert plan("mlp_binary", table, space=space).space == space.to_dict()
    assert plan("mlp_binary", table, space=space.to_dict()).space == space.to_dict()


@pytest.mark.parametrize(("options", "trials"), [
    ({}, DEFAULT_TRIALS), ({"minutes": 5}, None), ({"total_epochs": 50}, None), ({"oracle": "hyperband"}, None),
    ({"oracle": "grid"}, DEFAULT_TRIALS), ({"trials": 3, "minutes": 5}, 3), ({"oracle": "hyperband", "trials": 9}, 9)])
def test_a_search_has_an_end(table: DataSource, options: dict[str, Any], trials: int | None) -> None:
    """20 trials, unless another bound is given or the oracle ends by itself."""
    assert plan("mlp_binary", table, **options).trials == trials


def test_a_grid_with_an_end_is_searched_to_it(table: DataSource) -> None:
    """A finite space is gone through as a whole."""
    wishes = SpaceWishes(settings={"hidden_units": "4,8", "batch_size": "16,32"}, only=("hidden_units",))
    assert plan("mlp_binary", table, wishes=wishes, oracle="grid").trials is None


def test_objectives_and_constraints_are_read(table: DataSource) -> None:
    """As text, one or several, or as objects."""
    config = plan("mlp_binary", table, objectives=["val_auc", "min:latency_ms"], constraints="size_mb<=5")
    assert config.objectives == (Objective(name="val_auc", direction="max"),
                                 Objective(name="latency_ms", direction="min"))
    assert config.constraints == (Constraint(name="size_mb", relation="<=", bound=5.0),)
    assert config.training["monitor"] == "val_auc"


def test_what_cannot_work_is_refused_at_once(table: DataSource) -> None:
    """Missing data, unknown models, settings that no trial could take: before anything is begun."""
    with pytest.raises(ArgumentError, match=r"no file or folder missing\.csv"):
        plan("mlp_binary", DataSource(path="missing.csv"))
    with pytest.raises(UnknownNameError, match="mlp_binary"):
        plan("mlp_binry", table)
    with pytest.raises(SpaceError, match="points that cannot be trained"):
        plan("mlp_binary", table, wishes=SpaceWishes(settings={"label_smoothing": "0.5..1.5"}))
    with pytest.raises(SpaceError, match="hidden_unit"):
        plan("mlp_binary", table, wishes=SpaceWishes(only=("hidden_unit",)))


def test_public_datasets_are_no_files(tmp_path: Path) -> None:
    """keras: and tfds: names are not looked for on the disk."""
    assert plan("mnist_cnn", DataSource(path="keras:mnist")).data == DataSource(path="keras:mnist")


def test_code_is_found_from_every_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's path becomes absolute; a module's name stays; a file that is missing is refused."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text("def build(hp): ...\n")
    config = plan_hypermodel("model.py:build", "package.data:load", trials=3)
    assert config.hypermodel == f"{tmp_path / 'model.py'}:build"
    assert config.data_function == "package.data:load"
    assert [str(one) for one in config.objectives] == ["min:val_loss"]
    with pytest.raises(ArgumentError, match=r"There is no file .*other\.py"):
        plan_hypermodel("other.py:build")


@pytest.mark.parametrize("options", [{"objectives": ["latensy_ms"]}, {"constraints": ["latensy_ms<=5"]}])
def test_a_measure_that_nobody_takes_is_refused_before_a_trial(table: DataSource, options: dict[str, Any]) -> None:
    """A slip of the pen in an objective or constraint costs no training, and the nearest name is told."""
    with pytest.raises(ArgumentError, match=r"Unknown measure 'latensy_ms'. Did you mean 'latency_ms'.*val_ in front"):
        plan("mlp_binary", table, **options)
