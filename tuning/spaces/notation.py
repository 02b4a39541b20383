"""How the command line writes what a hyperparameter may be."""

from __future__ import annotations

import math
import re
from typing import Any

from tuning.errors import SpaceError

_FORMS = ("LOW..HIGH, LOW..HIGH step STEP, log:LOW..HIGH, {A,B,C} or A,B,C, or one fixed value, such as "
          "log:1e-5..1e-2, 16..256 step 16, {adam,adamw}, 0.2")
_RANGE = re.compile(r"(log:)?\s*(\S+?)\s*\.\.\s*(\S+?)(?:\s+step\s+(\S+))?")
_WORDS = {"none": None, "null": None, "true": True, "false": False}


def read_notation(name: str, text: str) -> dict[str, Any]:
    """Reads the fields of a dimension from their notation.

    Args:
        name: The hyperparameter's name, for the message.
        text: See `tuning.spaces.Dimension.parse`.

    Returns:
        Fields of `Dimension`: `kind` and what belongs to it.

    Raises:
        SpaceError: It has another form.
    """
    text = text.strip()
    if text.startswith("=") and text[1:].strip():
        return {"kind": "fixed", "default": read_value(text[1:])}
    if ".." in text and not text.startswith(("'", '"', "{")):
        return _range(name, text)
    if text.startswith("{") and text.endswith("}"):
        return _choice(name, text, text[1:-1])
    if text.startswith(("{", "log:")) or not text:
        raise _unreadable(name, text)
    return _choice(name, text, text) if "," in text else {"kind": "fixed", "default": read_value(text)}


def read_value(text: str) -> Any:
    """Returns the value that a word stands for: None, True, False, a whole number, a number, or the string.

    Args:
        text: The word; quotes make a string of anything.
    """
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for number in (int, float):
        try:
            value = number(text)
        except ValueError:
            continue
        return value if math.isfinite(value) else text
    return text


def _range(name: str, text: str) -> dict[str, Any]:
    match = _RANGE.fullmatch(text)
    ends = [read_value(part) for part in match.groups()[1:] if part] if match else []
    if match is None or any(isinstance(end, bool) or not isinstance(end, int | float) for end in ends):
        raise _unreadable(name, text)
    whole = all(isinstance(end, int) for end in ends)
    low, high, *step = ends
    return {"kind": "int" if whole else "float", "low": low, "high": high, "step": step[0] if step else None,
            "log": bool(match[1])}


def _choice(name: str, text: str, listed: str) -> dict[str, Any]:
    words = listed.split(",")
    if not all(word.strip() for word in words):
        raise _unreadable(name, text)
    return {"kind": "choice", "choices": tuple(read_value(word) for word in words)}


def _unreadable(name: str, text: str) -> SpaceError:
    return SpaceError(f"The hyperparameter {name!r} cannot be read. Expected {_FORMS}. Received: {text!r}")
