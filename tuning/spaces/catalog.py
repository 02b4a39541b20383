"""The search space of every registered model: its own arguments and those of its training."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from tuning.errors import SpaceError
from tuning.spaces.dimension import Dimension
from tuning.spaces.space import SearchSpace
from tuning.spaces.training_space import Situation, training_dimensions
from zoo.errors import ArgumentError, UnknownNameError
from zoo.registry import default_registry
from zoo.spec import ModelSpec, Task, Tunable
from zoo.training.config import TrainingConfig

# What changes no parameter's shape, so that it can be searched although the parameters are given.
_FITS_GIVEN_PARAMETERS = ("dropout", "attention_dropout", "l2", "trainable", "pooling")
_CHECKED_POINTS = 16


def space_of(model: str, *, data_rows: int | None = None, epochs: int | None = None, pretrained: bool = False,
             build: Mapping[str, Any] | None = None, training: Mapping[str, Any] | None = None) -> SearchSpace:
    """Returns the search space of a registered model.

    It holds the arguments that the catalog calls tunable, and of the training: optimizer, learning rate, schedule,
    warm-up, batch size, penalties, label smoothing, augmentation of pictures, and where the parameters are given
    how much of the network is frozen. Ranges lie around what the model's own source uses.

    Args:
        model: A registered name, with a weights tag behind a dot if wanted.
        data_rows: Number of training examples, so that a batch is no larger than a quarter of them.
        epochs: Epochs of a whole training, which warm-up and frozen epochs are parts of; None takes those of the
            model's own source.
        pretrained: Whether training starts from given parameters; a weights tag or `weights` in `build` says so too.
        build: Arguments of `zoo.build` that are the same in every trial; they are not searched.
        training: The same for fields of `TrainingConfig`; conditions on them are judged.

    Returns:
        The space, of at least one hyperparameter.

    Raises:
        UnknownNameError: No such model.
        SpaceError: A tunable argument of the model has neither choices nor a range.
    """
    spec, tag = default_registry().resolve(model)
    build, training = dict(build or {}), dict(training or {})
    given = pretrained or bool(tag or build.get("weights") or build.get("pretrained")) or spec.family == "hub"
    task: Task = build.get("task") or spec.task
    situation = Situation(spec=spec, task=task, epochs=training.get("epochs") or epochs or spec.training.epochs,
                          rows=data_rows, pretrained=given)
    own = tuple(_dimension(name, tunable, spec) for name, tunable in spec.tunable.items()
                if not given or name in _FITS_GIVEN_PARAMETERS)
    space = SearchSpace((*training_dimensions(situation), *own), spec.name)
    fixed = {**{name: value for name, value in build.items() if name in spec.tunable},
             **{name: value for name, value in training.items() if name not in spec.tunable}}
    return space.without({name: value for name, value in fixed.items()
                          if name in space or any(d.sets == name for d in space.dimensions)})


def check_space(space: SearchSpace, *, build: Mapping[str, Any] | None = None,
                training: Mapping[str, Any] | None = None) -> None:
    """Raises what a trial would for values that the training or the model's builder does not take.

    Args:
        space: The space of a registered model.
        build: Arguments of `zoo.build` that are the same in every trial.
        training: Fields of `TrainingConfig` that are the same in every trial, `epochs` among them.

    Raises:
        SpaceError: Some of its points would be refused; the message names one.
    """
    registry = default_registry()
    spec = registry.spec(space.model)
    points = space.corners() + [space.sample(random.Random(seed)) for seed in range(_CHECKED_POINTS)]
    for values in points:
        own, chosen, _ = space.split(values)
        try:
            TrainingConfig.for_spec(spec.training, **{**(training or {}), **chosen})
            registry.check(space.model, **{**(build or {}), **own})
        except (ArgumentError, UnknownNameError) as error:
            raise SpaceError(f"The search space of {space.model} has points that cannot be trained, such as "
                             f"{_shown(values)}: {error}") from error


def _dimension(name: str, tunable: Tunable, spec: ModelSpec) -> Dimension:
    known = spec.arguments.get(name)
    if tunable.choices:
        return Dimension(name=name, choices=tunable.choices, default=known if known in tunable.choices else None)
    if tunable.low is None or tunable.high is None:
        raise SpaceError(f"The tunable argument {name!r} of {spec.name} needs `choices`, or `low` and `high`. "
                         f"Received: {tunable}")
    whole = isinstance(tunable.low, int) and isinstance(tunable.high, int)
    inside = known is not None and tunable.low <= known <= tunable.high
    return Dimension(name=name, kind="int" if whole else "float", low=tunable.low, high=tunable.high,
                     step=tunable.step, log=tunable.log, default=known if inside else None)


def _shown(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
