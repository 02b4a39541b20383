"""Specs and records are pure data that survive JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from zoo.errors import ArgumentError
from zoo.spec import (
    Column,
    ImagePreprocessing,
    ModelRecord,
    Preprocessing,
    TabularPreprocessing,
    TensorPreprocessing,
    TextPreprocessing,
    attach_record,
    preprocessing_from_dict,
    preprocessing_to_dict,
    record_of,
)

PREPROCESSINGS: list[Preprocessing] = [
    ImagePreprocessing(height=28, width=32, channels=1, scale=1 / 255, mean=(0.5,), std=(0.2,), resize="pad"),
    TextPreprocessing(max_length=4, vocabulary=("a", "b"), lowercase=False),
    TabularPreprocessing(columns=(Column(name="age", mean=3.0, std=2.0),
                                  Column(name="town", kind="categorical", categories=("x", "y"))), shape=(3, 1)),
    TensorPreprocessing(),
]


@pytest.mark.parametrize("preprocessing", PREPROCESSINGS, ids=lambda p: p.kind)
def test_preprocessing_survives_json(preprocessing: Preprocessing) -> None:
    """What is written and read again is equal, tuples included."""
    text = json.dumps(preprocessing_to_dict(preprocessing))
    assert preprocessing_from_dict(json.loads(text)) == preprocessing


@pytest.mark.parametrize("preprocessing", PREPROCESSINGS, ids=lambda p: p.kind)
def test_a_record_survives_json(preprocessing: Preprocessing) -> None:
    """A record with everything in it is equal after a round trip."""
    record = ModelRecord(name="m", input_kind="image", task="classification", preprocessing=preprocessing,
                         labels=("cat", "dog"), arguments={"units": 3}, metrics={"test": {"accuracy": 0.5}})
    assert ModelRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


@pytest.mark.parametrize(("change", "words"), [
    ({"kind": "sound"}, "Unknown preprocessing kind 'sound'"),
    ({"colour": 1}, "has no field 'colour'"),
    ({"height": None}, "needs the field 'height'"),
])
def test_foreign_data_is_refused_by_name(change: dict[str, Any], words: str) -> None:
    """A field that is unknown or missing is named."""
    data = preprocessing_to_dict(PREPROCESSINGS[0]) | change
    data = {key: value for key, value in data.items() if value is not None}
    with pytest.raises(ArgumentError, match=words):
        preprocessing_from_dict(data)


@pytest.mark.parametrize("values", [
    {"height": 0, "width": 1}, {"height": 1, "width": 1, "channels": 2}, {"height": 1, "width": 1, "mean": (0.0,)},
    {"height": 1, "width": 1, "std": (0.0, 1.0, 1.0)}, {"height": 1, "width": 1, "crop_fraction": 1.5},
])
def test_impossible_pictures_are_refused(values: dict[str, Any]) -> None:
    """Image settings are checked when they are made, not when a picture comes."""
    with pytest.raises(ArgumentError, match="Received"):
        ImagePreprocessing(**values)


def test_a_model_without_a_record_says_how_to_get_one() -> None:
    """The error names zoo.build and zoo.adopt."""

    class Bare:
        name = "mine"

    with pytest.raises(ArgumentError, match=r"'mine' carries no zoo record.*zoo\.adopt"):
        record_of(Bare())
    bare = Bare()
    record = ModelRecord(name="m", input_kind="tabular", task="regression", preprocessing=TensorPreprocessing())
    attach_record(bare, record)
    assert record_of(bare) is record
