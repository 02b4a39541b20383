"""What a checkpoint decides about the model that is built for it: sizes, task, classes, and what may not contradict."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from zoo.build_arguments import CLASS_TASKS
from zoo.catalog import all_specs
from zoo.errors import ArgumentError, WeightsError
from zoo.spec import ModelSpec, Preprocessing
from zoo.weights.checkpoint_contents import ARCHITECTURE, Checkpoint

_FIXED_BY_NAME = ("layers", "hidden_size", "heads")
_EMBEDDING_HINTS = ("pooling", "normalize")

Builder = Callable[..., Any]


def checkpoint_sizes(spec: ModelSpec, builder: Builder, checkpoint: Checkpoint,
                     options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the builder's arguments that a checkpoint decides.

    Args:
        spec: The model; its name may fix layers, width and heads.
        builder: The function that makes the Keras model.
        checkpoint: The checkpoint.
        options: What the caller asked for.

    Returns:
        Arguments that nothing may change.

    Raises:
        WeightsError: The checkpoint is of other sizes than the model of this name; the message names one that fits.
        ArgumentError: An option contradicts the checkpoint.
    """
    differing = [name for name in _FIXED_BY_NAME if options.get(name) is None
                 and spec.arguments.get(name, checkpoint.arguments[name]) != checkpoint.arguments[name]]
    if differing:
        sizes = "; ".join(f"{name} is {checkpoint.arguments[name]}, expected {spec.arguments[name]}"
                          for name in differing)
        raise WeightsError(f"The checkpoint {checkpoint.name} has other sizes than {spec.name}: {sizes}. "
                           f"{_fitting(checkpoint, differing)}")
    parameters = inspect.signature(builder).parameters
    for name in ARCHITECTURE:
        if options.get(name) is None or name not in parameters:
            continue
        own = checkpoint.arguments.get(name, parameters[name].default)
        if options[name] != own:
            raise ArgumentError(f"The checkpoint {checkpoint.name} has {name}={own!r}, and {options[name]!r} was "
                                f"given. Leave `{name}` out: the checkpoint decides it.")
    return {name: value for name, value in checkpoint.arguments.items() if name in parameters}


def checkpoint_task(spec: ModelSpec, checkpoint: Checkpoint, task: str | None, labels: tuple[str, ...],
                    options: Mapping[str, Any]) -> str | None:
    """Returns the task to build for: what was asked for, or what the checkpoint's own head was trained for.

    A head for masked words or next words comes with every pretrained model, so it says nothing about the purpose.

    Args:
        spec: The model.
        checkpoint: The checkpoint.
        task: What the caller asked for.
        labels: Class names that the caller gave.
        options: What else the caller asked for.

    Returns:
        The task; None takes the spec's own.
    """
    own = checkpoint.task
    if task is not None or own is None or own not in (spec.tasks or (spec.task,)):
        return task
    asks_for_classes = bool(labels) or options.get("num_classes") is not None
    if own == "embedding" and (asks_for_classes or options.get("include_top") is False):
        return "classification" if asks_for_classes and "classification" in spec.tasks else None
    if own == "regression" and asks_for_classes:
        return None
    return own if own in (*CLASS_TASKS, "regression", "embedding") else None


def checkpoint_choices(builder: Builder, checkpoint: Checkpoint, task: str, arguments: dict[str, Any]) -> None:
    """Adds what the checkpoint suggests where nothing was asked for: pooling, dropout, outputs of a regression.

    Args:
        builder: The function that makes the Keras model.
        checkpoint: The checkpoint.
        task: What the model is built for.
        arguments: The builder's arguments, which are changed here.

    Raises:
        WeightsError: The source makes its vectors of texts in a way that is not known here.
    """
    parameters = inspect.signature(builder).parameters
    with_head = arguments.get("include_top", True) is not False
    hints = dict(checkpoint.hints)
    if task == "embedding" and with_head and checkpoint.embedding_problem and arguments.get("pooling") is None:
        raise WeightsError(checkpoint.embedding_problem)
    if task == "regression" and checkpoint.suits(task):
        hints["outputs"] = checkpoint.num_classes
    for name, value in hints.items():
        fits = {"classifier_activation": task in CLASS_TASKS and checkpoint.suits(task)}.get(name, True)
        if name in _EMBEDDING_HINTS:
            fits = task == "embedding" and with_head
        if fits and name in parameters and arguments.get(name) is None:
            arguments[name] = value


def checkpoint_classes(checkpoint: Checkpoint, task: str) -> int:
    """Returns the number of classes of the checkpoint's head for a task; 0 where it has none."""
    return checkpoint.num_classes if task in CLASS_TASKS and checkpoint.suits(task) else 0


def checkpoint_preprocessing(checkpoint: Checkpoint) -> Preprocessing:
    """Returns how texts become the checkpoint's tokens.

    Raises:
        WeightsError: It has no vocabulary, or one that cannot be followed here.
    """
    if checkpoint.preprocessing is None:
        raise WeightsError(checkpoint.preprocessing_problem)
    return checkpoint.preprocessing


def _fitting(checkpoint: Checkpoint, differing: list[str]) -> str:
    """Says which models of the catalog have the checkpoint's sizes, those with its vocabulary first."""
    specs = [spec for spec in all_specs() if spec.family == checkpoint.family and all(
        spec.arguments.get(name) == checkpoint.arguments[name] for name in _FIXED_BY_NAME)]
    size = checkpoint.arguments["vocabulary_size"]
    specs.sort(key=lambda spec: spec.arguments.get("vocabulary_size", size) != size)
    names = [repr(spec.name) for spec in specs[:2]] + (["'bert', which takes any"] if checkpoint.family == "bert"
                                                       else [])
    given = ", ".join(f"{name}={checkpoint.arguments[name]}" for name in differing)
    return f"Build it as {' or '.join(names)}." if names else f"No model of the catalog has them; give {given} too."
