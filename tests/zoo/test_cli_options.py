"""Words behind options become values, and options that would have no effect are refused."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

from zoo.cli_options import IN_OPTIONS, options_of, require_fitting, size_of, whole_numbers
from zoo.cli_training import evaluate_command, train_command
from zoo.errors import ArgumentError
from zoo.registry import default_registry
from zoo.training import TrainingConfig


@pytest.mark.parametrize(("text", "value"), [
    ("dropout=0.2", 0.2), ("filters=16", 16), ("bias=true", True), ("bias=False", False), ("pool=None", None),
    ("cell=gru", "gru"), ("cell=\"gru\"", "gru"), ("shape=[8,8,1]", (8, 8, 1)), ("name=a=b", "a=b"), ("empty=", ""),
])
def test_an_option_s_value_is_json_or_text(text: str, value: Any) -> None:
    """Numbers, booleans, lists and plain words all mean what they look like."""
    (found,) = options_of([text]).values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("texts", [["dropout"], ["=3"], ["a=1", "a=2"]])
def test_an_option_of_another_form_is_refused(texts: list[str]) -> None:
    """It needs a name, an equals sign, and to be given once."""
    with pytest.raises(ArgumentError, match="`--option`"):
        options_of(texts)


def test_sizes() -> None:
    """One number is a square; two are height and width."""
    assert size_of("96") == (96, 96)
    assert size_of("240X320") == (240, 320)
    for text in ("", "8x", "1x2x3", "-8", "0x8", "8.5"):
        with pytest.raises(ArgumentError, match="--size"):
            size_of(text)


def test_whole_numbers_name_their_option() -> None:
    """The message says which option was wrong."""
    assert whole_numbers("--shape", "24,1", ",") == [24, 1]
    with pytest.raises(ArgumentError, match=r"`--shape` takes numbers of at least 1\. Received: '0,1'"):
        whole_numbers("--shape", "0,1", ",")


@pytest.mark.parametrize(("model", "fitting"), [
    ("mnist_cnn", {"input_shape"}),
    ("rnn_text", {"text_column", "label_column", "max_length", "max_words"}),
    ("mlp_binary", {"target", "columns"}),
    ("rnn", {"target", "columns", "shape"}),
])
def test_options_belong_to_a_kind_of_data(model: str, fitting: set[str]) -> None:
    """Each option is taken by the models that it does something for, and refused by name for the others."""
    spec = default_registry().spec(model)
    for name in ("input_shape", "target", "columns", "shape", "text_column", "label_column", "max_length", "max_words"):
        require_fitting(spec, "data", {name: None})
        if name in fitting:
            require_fitting(spec, "data", {name: "given"})
        else:
            with pytest.raises(ArgumentError, match=f"`{IN_OPTIONS[name]}` is for"):
                require_fitting(spec, "data", {name: "given"})


def test_every_option_that_a_message_names_exists() -> None:
    """The table of options names only those of the two commands."""
    existing = {name.replace("_", "-") for command in (train_command, evaluate_command)
                for name in inspect.signature(command).parameters}
    assert {option.removeprefix("--") for option in IN_OPTIONS.values()} <= existing


def test_fields_of_the_configuration_with_an_option_are_in_the_table() -> None:
    """A field of TrainingConfig that an option sets is told by that option."""
    options = set(inspect.signature(train_command).parameters)
    for field in dataclasses.fields(TrainingConfig):
        if field.name in options:
            assert IN_OPTIONS[field.name] == f"--{field.name.replace('_', '-')}"
