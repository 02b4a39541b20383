"""The options that name data mean the same in every command."""

from __future__ import annotations

import inspect

import pytest

from tuning.cli import search_command
from zoo.cli_data import building_of, complete_model, source_of
from zoo.cli_training import train_command
from zoo.data_source import DataSource
from zoo.errors import ArgumentError
from zoo.registry import default_registry

SPEC = default_registry().spec("rnn")


def test_what_is_not_given_keeps_the_default() -> None:
    """Nothing given is DataSource's own; what is given replaces it, zero and False included."""
    assert source_of(SPEC, "d.csv", size=None, shape=None, target=None, text_column="", max_length=None) == (
        DataSource(path="d.csv"))
    assert source_of(SPEC, "d.csv", target=["y"], column=["a", "b"], shape="2,1", validation_fraction=0.0,
                     keep_duplicates=False) == DataSource(path="d.csv", target=("y",), columns=("a", "b"), shape=(2, 1),
                                                          validation_fraction=0.0, keep_duplicates=False)


def test_data_read_before_hold_where_nothing_else_is_said() -> None:
    """The seed of the split, too."""
    known = DataSource(path="old.csv", target=("y",), shape=(2, 1), seed=7)
    assert source_of(SPEC, "new.csv", known=known) == DataSource(path="new.csv", target=("y",), shape=(2, 1), seed=7)
    assert source_of(SPEC, "new.csv", known=known, target=["z"]).target == ("z",)


def test_an_option_of_other_data_is_refused() -> None:
    """By its name."""
    with pytest.raises(ArgumentError, match="`--size` is for pictures"):
        source_of(SPEC, "d.csv", size="8")
    with pytest.raises(ArgumentError, match="`--text-column` is for texts"):
        source_of(SPEC, "d.csv", text_column="t")


def test_what_is_built() -> None:
    """A size gets the channels of the model's pictures."""
    spec = default_registry().spec("mnist_cnn")
    assert building_of(spec, option=["dropout=0.2"], weights="w.h5", task="classification", size="8x9") == {
        "dropout": 0.2, "weights": "w.h5", "task": "classification", "input_shape": (8, 9, 1)}
    assert building_of(spec) == {}


def test_train_and_tune_read_data_with_the_same_options() -> None:
    """No option of the data is there in the one command and missing in the other."""
    names = {"target", "column", "shape", "text_column", "text_pair_column", "label_column", "max_length", "max_words",
             "validation_fraction", "test_fraction", "keep_duplicates", "weights", "size", "task"}
    first, second = (inspect.signature(command).parameters for command in (train_command, search_command))
    assert all(first[name].annotation == second[name].annotation for name in names)


def test_completion() -> None:
    """Names that begin so."""
    assert complete_model("mlp_b") == ["mlp_binary"]
