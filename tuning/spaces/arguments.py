"""Which arguments a hyperparameter may set, and what its values become there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Literal

from tuning.errors import SpaceError
from zoo.errors import ArgumentError, UnknownNameError
from zoo.registry import default_registry
from zoo.training.config import TrainingConfig

# The split of the examples is the same in every trial, so only how they are read may change.
DATA_ARGUMENTS = ("max_length", "max_words")
# What a search decides by itself, and what a run's outcome does not depend on.
_NOT_SEARCHED = {"epochs": "`epochs` of the search", "seed": "`seed` and `executions` of the search",
                 "tensorboard": "the training", "monitor": "the training", "validation_fraction": "the data",
                 "test_fraction": "the data", "path": "the data"}
_TRAINING = tuple(field.name for field in dataclasses.fields(TrainingConfig) if field.name not in _NOT_SEARCHED)


def target_of(name: str, model: str, searched: Iterable[str] = ()) -> Literal["build", "training", "data"]:
    """Returns what an argument belongs to.

    Args:
        name: The argument.
        model: The registered model whose builder may take it, or "".
        searched: Names of the space already, for the message.

    Returns:
        "build" where the catalog calls the argument tunable; else "training", "data", or "build" where the builder
        takes it.

    Raises:
        SpaceError: Nothing takes it, or it is none of the space.
    """
    registry = default_registry()
    if model and name in registry.spec(model).tunable:
        return "build"
    if name in _NOT_SEARCHED:
        raise SpaceError(f"`{name}` is no hyperparameter; it belongs to {_NOT_SEARCHED[name]}.")
    if name in _TRAINING:
        return "training"
    if name in DATA_ARGUMENTS:
        return "data"
    known = sorted({*searched, *_TRAINING, *DATA_ARGUMENTS})
    if not model:
        raise SpaceError(UnknownNameError("hyperparameter", name, known, f"Known: {', '.join(known)}.").message)
    try:
        registry.check(model, **{name: None})
    except ArgumentError as error:
        raise SpaceError(f"Neither the training nor the data nor {model} takes `{name}`, so it cannot be searched. "
                         f"Of the training: {', '.join(_TRAINING)}. Of the data: {', '.join(DATA_ARGUMENTS)}. "
                         f"{error}") from None
    return "build"


def composed(argument: str, value: Any) -> Any:
    """Returns a value as the argument takes it.

    Args:
        argument: The argument's name.
        value: A decoded value; for "augmentation" names joined by "+", such as "flip+rotate:10", or "none".

    Returns:
        The value; for "augmentation" a list of names, which JSON can hold.
    """
    if argument != "augmentation":
        return value
    if value in (None, "", "none"):
        return []
    return value.split("+") if isinstance(value, str) else list(value)
