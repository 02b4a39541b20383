"""A space: conditions, arguments, changes, and what KerasTuner makes of it."""

from __future__ import annotations

import json
import random
from typing import Any

import keras_tuner
import pytest

from tuning.errors import SpaceError
from tuning.spaces import Dimension, SearchSpace

OPTIMIZER = Dimension(name="optimizer", choices=("adam", "adamw", "momentum"), target="training")
RATE = Dimension(name="learning_rate", kind="float", low=1e-4, high=1e-2, log=True, target="training",
                 parent="optimizer", parent_values=("adam", "adamw"))
SGD_RATE = RATE.replace(name="sgd_learning_rate", argument="learning_rate", low=1e-3, high=1e-1,
                        parent_values=("momentum",))
DECAY = Dimension(name="weight_decay", choices=(0.0, 0.1), target="training", parent="optimizer",
                  parent_values=("adamw",))
POOLING = Dimension(name="pooling", choices=(None, "avg"))
LENGTH = Dimension(name="max_length", choices=(32, 64), target="data")
SPACE = SearchSpace((OPTIMIZER, RATE, SGD_RATE, DECAY, POOLING, LENGTH), "rnn_text")


def test_a_space_survives_json() -> None:
    """What `to_dict` writes reads back as the same space; nothing is the empty space."""
    assert SearchSpace.from_dict(json.loads(json.dumps(SPACE.to_dict()))) == SPACE
    assert SearchSpace.from_dict({}) == SearchSpace()
    with pytest.raises(SpaceError, match=r"A space holds `model` and `dimensions`. Received: oracle"):
        SearchSpace.from_dict({"oracle": "random"})


def test_values_become_arguments() -> None:
    """Values go where they belong, under the argument's own name; the oracle's and ruled out ones are left out."""
    values = {"optimizer": "momentum", "learning_rate": 0.5, "sgd_learning_rate": 0.05, "weight_decay": 0.1,
              "pooling": "none", "max_length": 32, "tuner/epochs": 3}
    assert SPACE.split(values) == ({"pooling": None}, {"optimizer": "momentum", "learning_rate": 0.05},
                                   {"max_length": 32})


def test_a_missing_value_is_the_start_value() -> None:
    """A trial without a hyperparameter that came later takes its start value."""
    assert SPACE.split({"optimizer": "adam"}) == ({"pooling": None}, {"optimizer": "adam", "learning_rate": 1e-4},
                                                  {"max_length": 32})


@pytest.mark.parametrize(("values", "message"), [({"dropuot": 0.1}, "dropuot"), ({"max_length": 16}, "'max_length'")])
def test_foreign_names_and_values_are_refused(values: dict[str, Any], message: str) -> None:
    """A value that the space does not know is never dropped silently."""
    with pytest.raises(SpaceError, match=message):
        SPACE.split(values)


def test_augmentations_are_joined_by_plus() -> None:
    """One choice may be several changes at once, or none."""
    space = SearchSpace((Dimension(name="augmentation", choices=("none", "flip+rotate:10"), target="training"),))
    assert [space.split({"augmentation": name})[1]["augmentation"] for name in space["augmentation"].choices] == \
        [[], ["flip", "rotate:10"]]


# === KerasTuner ===


def test_keras_tuner_knows_the_conditions() -> None:
    """A hyperparameter is active in KerasTuner exactly where its condition is met."""
    hp = keras_tuner.HyperParameters()
    SPACE.register(hp)
    assert [registered.name for registered in hp.space] == list(SPACE.names)
    for optimizer, active in (("adam", {"learning_rate"}), ("adamw", {"learning_rate", "weight_decay"}),
                              ("momentum", {"sgd_learning_rate"})):
        hp.values["optimizer"] = optimizer
        assert {r.name for r in hp.space if hp.is_active(r)} == active | {"optimizer", "pooling", "max_length"}


def test_conditions_may_stand_upon_conditions() -> None:
    """A hyperparameter whose parent does not matter does not matter either, here and in KerasTuner."""
    space = SearchSpace((OPTIMIZER, DECAY, Dimension(name="how", choices=("a", "b"), parent="weight_decay",
                                                     parent_values=(0.1,))))
    assert space.size == 1 + 1 + (1 + 2)
    hp = keras_tuner.HyperParameters()
    space.register(hp)
    hp.values.update(optimizer="adam", weight_decay=0.1)
    assert [r.name for r in hp.space if hp.is_active(r)] == ["optimizer"]
    assert "how" not in space.split({"optimizer": "adam", "weight_decay": 0.1, "how": "b"})[0]


def test_keras_tuner_s_trials_are_points_of_the_space(tmp_path: Any) -> None:
    """Every trial that KerasTuner's random oracle proposes splits into arguments."""
    hp = keras_tuner.HyperParameters()
    SPACE.register(hp)
    oracle = keras_tuner.oracles.RandomSearchOracle(objective="val_loss", max_trials=12, seed=3, hyperparameters=hp)
    oracle._set_project_dir(str(tmp_path), "search")
    for _ in range(12):
        values = oracle.create_trial("tuner0").hyperparameters.values
        build, training, data = SPACE.split(values)
        assert len(build) + len(training) + len(data) == len(values)


# === Points ===


@pytest.mark.parametrize(("space", "size"), [
    (SearchSpace(), 1), (SPACE, None), (SPACE.without(["learning_rate"]), (1 + 2 + 1) * 2 * 2),
    (SearchSpace((OPTIMIZER, POOLING)), 6),
    (SearchSpace((Dimension(name="units", kind="int", low=8, high=32, step=8),)), 4)])
def test_points_are_counted_with_their_conditions(space: SearchSpace, size: int | None) -> None:
    """The size is the number of different trials, or None where a range has no end of values."""
    assert space.size == size
    if size is not None:
        seen = {json.dumps(space.sample(random.Random(seed))) for seed in range(40 * size)}
        assert len(seen) == size


def test_corners_reach_every_choice() -> None:
    """The corners are points of the space in which every choice and every end occurs."""
    corners = SPACE.corners()
    assert {point["pooling"] for point in corners} == {"none", "avg"}
    assert {point["sgd_learning_rate"] for point in corners if "sgd_learning_rate" in point} == {1e-3, 1e-1}
    assert {point["weight_decay"] for point in corners if "weight_decay" in point} == {0.0, 0.1}
    for point in corners:
        assert len(point) == sum(map(len, SPACE.split(point)))


# === Changes ===


def test_one_rate_takes_the_place_of_those_of_each_optimizer() -> None:
    """A learning rate that is set holds for every optimizer; another range under a condition keeps the condition."""
    space = SPACE.changed({"learning_rate": "log:1e-5..1e-2"})
    assert "sgd_learning_rate" not in space
    assert (space["learning_rate"].low, space["learning_rate"].parent) == (1e-5, "")
    narrowed = SPACE.changed({"sgd_learning_rate": "log:0.01..0.1"})
    assert (narrowed["sgd_learning_rate"].parent, narrowed["sgd_learning_rate"].sets) == ("optimizer", "learning_rate")
    assert len(narrowed) == len(SPACE)


def test_a_fixed_optimizer_settles_its_conditions() -> None:
    """What depends on another optimizer goes, and what depends on this one loses its condition."""
    space = SPACE.changed({"optimizer": "momentum"})
    assert space.names == ("optimizer", "sgd_learning_rate", "pooling", "max_length")
    assert space["sgd_learning_rate"].parent == ""
    assert space.split({})[1] == {"optimizer": "momentum", "learning_rate": 1e-3}
    assert SPACE.changed({"optimizer": ["adam", "momentum"]}).names == \
        ("optimizer", "learning_rate", "sgd_learning_rate", "pooling", "max_length")


@pytest.mark.parametrize(("setting", "dimension"), [
    ("{1,2}", {"kind": "choice", "choices": (1, 2)}), ([1, None], {"kind": "choice", "choices": (1, None)}),
    (3, {"kind": "fixed", "default": 3}), (None, {"kind": "fixed", "default": None}),
    ({"value": [1, 2]}, {"kind": "fixed", "default": [1, 2]}), ({"choices": [1]}, {"kind": "choice", "choices": (1,)}),
    ({"low": 1, "high": 4}, {"kind": "int", "low": 1, "high": 4}),
    ({"low": 1, "high": 4.0, "log": True}, {"kind": "float", "log": True}),
    (Dimension(name="other", choices=(5, 6)), {"name": "pooling", "choices": (5, 6)}),
])
def test_settings_have_many_forms(setting: Any, dimension: dict[str, Any]) -> None:
    """Text, a list, a dict, a dimension or a plain value set a hyperparameter."""
    changed = SPACE.changed({"pooling": setting})["pooling"]
    assert {name: getattr(changed, name) for name in dimension} == dimension


@pytest.mark.parametrize(("name", "target"), [("units", "build"), ("clip_norm", "training"), ("max_words", "data"),
                                              ("bidirectional", "build")])
def test_new_hyperparameters_find_their_place(name: str, target: str) -> None:
    """An argument of the builder, the training or the data is added by its name alone."""
    added = SPACE.changed({name: [1, 2]})[name]
    assert added.target == target


@pytest.mark.parametrize(("changes", "message"), [
    ({"pooling": {"value": 1, "low": 2}}, "`value` stands alone"), ({"pooling": {"hihg": 1}}, "hihg"),
    ({"pooling": "1.."}, "cannot be read")])
def test_unreadable_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    """A setting that has no meaning names itself."""
    with pytest.raises(SpaceError, match=message):
        SPACE.changed(changes)


def test_some_are_left_out() -> None:
    """`only` and `without` shrink the space; conditions are then judged by the value that holds instead."""
    assert SPACE.only(["pooling", "max_length"]).names == ("pooling", "max_length")
    assert SPACE.without(["optimizer"]).names == ("learning_rate", "pooling", "max_length")
    assert SPACE.without({"optimizer": "momentum"}).names == ("sgd_learning_rate", "pooling", "max_length")
    assert SPACE.without(["learning_rate"]).names == ("optimizer", "weight_decay", "pooling", "max_length")
    assert SPACE.changed({"pooling": "avg"}).only(["max_length"]).names == ("pooling", "max_length")
    with pytest.raises(SpaceError, match=r"poling.*(?s:.*)pooling"):
        SPACE.only(["poling"])


@pytest.mark.parametrize(("dimensions", "message"), [
    ((POOLING, POOLING), "Each hyperparameter is named once"),
    ((RATE, OPTIMIZER), "'learning_rate' depends on 'optimizer', which must stand in front of it")])
def test_a_space_that_cannot_be_is_refused(dimensions: tuple[Dimension, ...], message: str) -> None:
    """Names are unique, and a condition's parent comes first."""
    with pytest.raises(SpaceError, match=message):
        SearchSpace(dimensions)
