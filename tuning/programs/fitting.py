"""Calls a hypermodel's `fit` with what the search decides and what the user's data function returns."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras

# What the search itself decides; the last two only as long as the hypermodel does not.
_OURS = ("callbacks", "initial_epoch", "epochs", "verbose")
_GIVEN_TWICE = re.compile(r"multiple values for keyword argument '(epochs|verbose)'")


def fit(hypermodel: Any, hp: Any, model: keras.Model, data: Mapping[str, Any], *, epochs: int,
        callbacks: Sequence[keras.callbacks.Callback]) -> Any:
    """Calls a hypermodel's `fit`.

    Args:
        hypermodel: A `keras_tuner.HyperModel`.
        hp: The `keras_tuner.HyperParameters`.
        model: What it built.
        data: Keyword arguments of the user's; its callbacks stand in front of ours.
        epochs: Epochs to train; left out where the hypermodel sets its own or takes none.
        callbacks: Ours.

    Returns:
        What its `fit` returns.
    """
    given = {name: value for name, value in data.items() if name not in _OURS}
    given |= {"epochs": epochs, "verbose": 2, "callbacks": [*data.get("callbacks", ()), *callbacks]}
    parameters = inspect.signature(hypermodel.fit).parameters
    if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        given = {name: value for name, value in given.items()
                 if name in parameters or name not in ("epochs", "verbose")}
    while True:
        try:
            return hypermodel.fit(hp, model, **given)
        except TypeError as error:  # the hypermodel sets it itself, and Python refuses before anything is trained
            twice = _GIVEN_TWICE.search(str(error))
            if twice is None or twice[1] not in given:
                raise
            del given[twice[1]]
