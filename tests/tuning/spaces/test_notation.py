"""The notation of the command line."""

from __future__ import annotations

from typing import Any

import pytest

from tuning.errors import SpaceError
from tuning.spaces.notation import read_notation, read_value


@pytest.mark.parametrize(("text", "fields"), [
    ("log:1e-5..1e-2", {"kind": "float", "low": 1e-5, "high": 1e-2, "step": None, "log": True}),
    ("0.1..0.5", {"kind": "float", "low": 0.1, "high": 0.5, "step": None, "log": False}),
    ("0..1.0", {"kind": "float", "low": 0, "high": 1.0, "step": None, "log": False}),
    ("-3..4", {"kind": "int", "low": -3, "high": 4, "step": None, "log": False}),
    ("16..256 step 16", {"kind": "int", "low": 16, "high": 256, "step": 16, "log": False}),
    ("log: 8 .. 1024  step 2", {"kind": "int", "low": 8, "high": 1024, "step": 2, "log": True}),
    ("{16,32,64}", {"kind": "choice", "choices": (16, 32, 64)}),
    ("16, 32,64", {"kind": "choice", "choices": (16, 32, 64)}),
    ("{adam}", {"kind": "choice", "choices": ("adam",)}),
    ("none,avg,'none'", {"kind": "choice", "choices": (None, "avg", "none")}),
    ("true,false", {"kind": "choice", "choices": (True, False)}),
    ("=0.2", {"kind": "fixed", "default": 0.2}),
    ("adamw", {"kind": "fixed", "default": "adamw"}),
    ("flip+rotate:10", {"kind": "fixed", "default": "flip+rotate:10"}),
    ('"1..2"', {"kind": "fixed", "default": "1..2"}),
])
def test_every_form_is_read(text: str, fields: dict[str, Any]) -> None:
    """A range, a logarithmic one, a step, choices and a fixed value give the fields of the dimension."""
    assert read_notation("x", text) == fields


@pytest.mark.parametrize("text", ["", "log:", "log:3", "1..", "..2", "a..b", "1..2..3", "1..2 step", "{1,2", "1,,2",
                                  "{}", "true..false", "1..inf"])
def test_what_cannot_be_read_names_the_forms(text: str) -> None:
    """The message tells the hyperparameter, the forms and what came."""
    with pytest.raises(SpaceError, match=r"'rate' cannot be read. Expected LOW..HIGH, .*Received: "):
        read_notation("rate", text)


@pytest.mark.parametrize(("word", "value"), [("1", 1), ("1.0", 1.0), ("1e-3", 1e-3), ("True", True), ("NONE", None),
                                             ("nan", "nan"), ("'1'", "1"), (" a ", "a"), ("1_000", 1000)])
def test_words_become_values(word: str, value: Any) -> None:
    """Numbers, truth values and nothing are told from strings, and quotes keep a string."""
    read = read_value(word)
    assert read == value
    assert type(read) is type(value)
