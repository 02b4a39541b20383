"""One hyperparameter: what it may be, how a tuner sees it, what its values stand for."""

from __future__ import annotations

import json
import math
from typing import Any

import keras_tuner
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning.errors import SpaceError
from tuning.spaces import Dimension, SearchSpace

DIMENSIONS = [
    Dimension(name="units", kind="int", low=8, high=1024, log=True, default=64),
    Dimension(name="units", kind="int", low=16, high=250, step=16),
    Dimension(name="units", kind="int", low=2, high=64, step=2, log=True),
    Dimension(name="rate", kind="float", low=1e-5, high=1e-2, log=True, target="training"),
    Dimension(name="rate", kind="float", low=1e-4, high=1e-1, step=10, log=True, target="training"),
    Dimension(name="dropout", kind="float", low=0.0, high=0.5, step=0.1),
    Dimension(name="pooling", choices=(None, "avg", "max")),
    Dimension(name="depth", choices=(None, 0, 4, 8)),
    Dimension(name="both", choices=(False, True), default=True),
    Dimension(name="warmup", choices=(0, 0.5, 1.0), target="training", argument="warmup_epochs"),
    Dimension(name="optimizer", kind="fixed", default="adam", target="training"),
    Dimension(name="shape", kind="fixed", default=[28, 28]),
    Dimension(name="rate", kind="float", low=0.0, high=1.0, parent="optimizer", parent_values=("adam", "sgd")),
]


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=str)
def test_a_dimension_survives_json(dimension: Dimension) -> None:
    """What `to_dict` writes reads back as the same dimension after a way through JSON."""
    assert Dimension.from_dict(json.loads(json.dumps(dimension.to_dict()))) == dimension


@pytest.mark.parametrize("dimension", [d for d in DIMENSIONS if not d.parent], ids=str)
def test_keras_tuner_sees_the_same_values(dimension: Dimension) -> None:
    """A dimension becomes a KerasTuner hyperparameter of the same start value and number of values, and every value
    that KerasTuner draws is one of the dimension's."""
    hp = keras_tuner.HyperParameters()
    SearchSpace((dimension,)).register(hp)
    (registered,) = hp.space
    assert hp.values == {dimension.name: dimension.start}
    if dimension.size is not None and not (dimension.kind == "int" and dimension.log and dimension.step is None):
        assert len(list(registered.values)) == dimension.size
    for seed in range(30):
        value = dimension.decoded(registered.random_sample(seed))
        if dimension.kind in ("int", "float"):
            assert dimension.low is not None and dimension.high is not None
            assert dimension.low <= value <= dimension.high
            assert isinstance(value, int if dimension.kind == "int" else float)
        else:
            assert any(value is choice or value == choice for choice in dimension.choices or (dimension.default,))


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=str)
@given(share=st.floats(0.0, 1.0, exclude_max=True))
def test_every_share_of_the_range_is_a_value(dimension: Dimension, share: float) -> None:
    """Any share in [0, 1) gives a value in the closed range, on a step where there are steps."""
    value = dimension.decoded(dimension.at(share))
    if dimension.kind in ("int", "float"):
        low, high = dimension.low, dimension.high
        assert low is not None and high is not None and low <= value <= high
        if dimension.step is not None:
            steps = (math.log(value / low) / math.log(dimension.step) if dimension.log
                     else (value - low) / dimension.step)
            assert steps == pytest.approx(round(steps), abs=1e-6)


def test_the_end_of_a_stepped_range_is_reached() -> None:
    """KerasTuner draws 0.5 from 0 to 0.5 by 0.1, and 0.3 instead of 0.30000000000000004."""
    hp = keras_tuner.HyperParameters()
    SearchSpace((Dimension(name="dropout", kind="float", low=0.0, high=0.5, step=0.1, default=0.29),)).register(hp)
    assert {hp.space[0].random_sample(seed) for seed in range(60)} == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5}
    assert hp.values == {"dropout": 0.3}


def test_a_choice_with_nothing_is_one_of_strings() -> None:
    """KerasTuner holds choices of one type, so None and numbers among them travel as words and come back."""
    dimension = Dimension(name="depth", choices=(None, 0, 4))
    assert dimension.labels == ("none", "0", "4")
    assert [dimension.decoded(label) for label in dimension.labels] == [None, 0, 4]
    assert [dimension.label_of(choice) for choice in dimension.choices] == ["none", "0", "4"]


def test_true_is_not_one() -> None:
    """A choice between truth values stays one, and a choice of numbers stays numbers."""
    assert [Dimension(name="b", choices=(False, True)).decoded(value) for value in (False, True)] == [False, True]
    assert Dimension(name="b", choices=(False, True)).decoded(True) is True
    assert type(Dimension(name="n", choices=(0, 1)).decoded(1)) is int


@pytest.mark.parametrize(("text", "fields"), [("16..256 step 16", {"kind": "int", "step": 16}),
                                              ("adam,sgd", {"choices": ("adam", "sgd")}), ("3", {"kind": "fixed"})])
def test_the_notation_makes_a_dimension(text: str, fields: dict[str, Any]) -> None:
    """`parse` reads the notation and keeps the other fields that it is given."""
    dimension = Dimension.parse("x", text, target="training", argument="y")
    assert (dimension.name, dimension.target, dimension.sets) == ("x", "training", "y")
    assert {field: getattr(dimension, field) for field in fields} == fields


@pytest.mark.parametrize(("fields", "message"), [
    ({"name": "tuner/epochs"}, "does not begin with 'tuner/'"),
    ({"kind": "list"}, r"`kind` must be one of choice, int, float, fixed. Received: 'list'"),
    ({"target": "model"}, r"`target` must be one of build, training, data"),
    ({}, r"a choice needs `choices`"),
    ({"choices": (1, 1)}, r"each choice is given once"),
    ({"choices": (None, "none")}, r"each choice is given once"),
    ({"choices": ((1, 2),)}, r"choices are numbers, strings, True, False or None. Received: \(1, 2\)"),
    ({"choices": (1, 2), "default": 3}, r"`default` is one of the choices \[1, 2\]. Received: 3"),
    ({"kind": "int", "low": 1, "high": 2.5}, r"`high` must be a whole number. Received: 2.5"),
    ({"kind": "float", "low": 1}, r"`high` must be a number. Received: None"),
    ({"kind": "float", "low": 2, "high": 1}, r"`low` must be less than `high`"),
    ({"kind": "float", "low": 0, "high": 1, "log": True}, r"`low` must be above 0 on a logarithmic scale"),
    ({"kind": "float", "low": 1, "high": 2, "step": 0}, r"`step` must be above 0"),
    ({"kind": "float", "low": 0, "high": 1, "step": 1e-6}, r"more than 1000 steps are as good as none"),
    ({"kind": "int", "low": 1, "high": 8, "step": 1, "log": True}, r"`step` must be above 1"),
    ({"kind": "float", "low": 0, "high": 1, "default": 2}, r"`default` must lie in \[0, 1\]. Received: 2"),
    ({"choices": (1,), "parent": "a"}, r"`parent` and `parent_values` are given together"),
])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    """A dimension without a meaning is refused with the field, what was expected and what came."""
    with pytest.raises(SpaceError, match=message):
        Dimension(**{"name": "x", **fields})


@pytest.mark.parametrize(("values", "message"), [({"kind": "int"}, "needs a `name`"),
                                                 ({"name": "x", "lwo": 1}, "(?s)lwo.*low")])
def test_unknown_fields_are_named(values: dict[str, Any], message: str) -> None:
    """A misspelled field of a dictionary is refused with the near one."""
    with pytest.raises(SpaceError, match=message):
        Dimension.from_dict(values)


@pytest.mark.parametrize(("dimension", "value"), [(DIMENSIONS[6], "min"), (DIMENSIONS[0], "8"), (DIMENSIONS[0], True)])
def test_a_foreign_value_is_refused(dimension: Dimension, value: Any) -> None:
    """A value that is none of the dimension's is not passed on to a build."""
    with pytest.raises(SpaceError, match="its values are"):
        dimension.decoded(value)
