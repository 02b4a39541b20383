"""Everything that decides a search, as pure data: `SearchConfig` loads neither KerasTuner nor TensorFlow."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tuning.objectives import Constraint, Objective
from zoo.data_source import DataSource, anywhere
from zoo.errors import ArgumentError, UnknownNameError

ORACLES = ("random", "grid", "bayesian", "hyperband")
STOPPERS = ("none", "asha", "median")

# What the same search may be continued with other values of: how long, not what.
_MAY_CHANGE = ("trials", "total_epochs", "minutes", "retries", "trial_minutes")


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """What is searched, by what, for what and for how long. Where trials run is no part of it.

    Attributes:
        model: A registered model, whose space comes from the catalog; or empty.
        hypermodel: "file.py:name" or "package.module:name" of a KerasTuner `HyperModel` (instance, or class without
            arguments) or `build(hp)` function; or empty. One of the two is given.
        data: The examples, for a registered model.
        data_function: "file.py:name" of a function without arguments that returns what `model.fit` takes as a dict
            (x, y, validation_data, ...), for a `hypermodel`.
        build: Arguments of `zoo.build` that are the same in every trial.
        training: Fields of `zoo.training.TrainingConfig` that are the same in every trial.
        space: The space as `tuning.spaces.SearchSpace.to_dict` writes it; empty for a `hypermodel`, which declares
            its own.
        objectives: What gets better; the first is the primary one, that trials are stopped early by.
        constraints: Bounds on measures.
        oracle: One of `ORACLES`.
        oracle_options: Further arguments of KerasTuner's oracle.
        stopper: One of `STOPPERS`.
        stopper_options: Further arguments of the rule.
        trials: Largest number of trials; None for no such bound.
        epochs: Epochs of a whole training.
        total_epochs: Largest number of epochs over all trials; None for no such bound.
        minutes: Largest number of minutes, over all processes that worked on the search; None for no such bound.
        executions: How often each trial is run, each time from another seed.
        seed: Decides the oracle's choices and the trials' seeds.
        retries: How often a trial that died, was lost or ran out of memory is tried again.
        trial_minutes: Largest number of minutes of one attempt; None for no such bound.
    """

    model: str = ""
    hypermodel: str = ""
    data: DataSource | None = None
    data_function: str = ""
    build: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, Any] = field(default_factory=dict)
    objectives: tuple[Objective, ...] = (Objective(name="val_loss", direction="min"),)
    constraints: tuple[Constraint, ...] = ()
    oracle: str = "random"
    oracle_options: Mapping[str, Any] = field(default_factory=dict)
    stopper: str = "none"
    stopper_options: Mapping[str, Any] = field(default_factory=dict)
    trials: int | None = 20
    epochs: int = 10
    total_epochs: int | None = None
    minutes: float | None = None
    executions: int = 1
    seed: int = 0
    retries: int = 1
    trial_minutes: float | None = None

    def __post_init__(self) -> None:
        if bool(self.model) == bool(self.hypermodel):
            raise ArgumentError("A search is for a registered model or for a hypermodel of your own: give exactly one "
                                f"of `model` and `hypermodel`. Received: {self.model!r} and {self.hypermodel!r}")
        if not self.objectives:
            raise ArgumentError("A search needs an objective, such as val_accuracy.")
        names = [objective.name for objective in self.objectives]
        if len(set(names)) != len(names):
            raise ArgumentError(f"Each objective is named once. Received: {', '.join(names)}")
        for what, value, known in (("oracle", self.oracle, ORACLES), ("stopper", self.stopper, STOPPERS)):
            if value not in known:
                raise ArgumentError(UnknownNameError(what, str(value), known, f"Known: {', '.join(known)}.").message)
        for name in ("epochs", "executions"):
            _require_whole(name, getattr(self, name), 1)
        for name in ("seed", "retries"):
            _require_whole(name, getattr(self, name), 0)
        for name in ("trials", "total_epochs"):
            if getattr(self, name) is not None:
                _require_whole(name, getattr(self, name), 1)
        for name in ("minutes", "trial_minutes"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and 0 < value < math.inf):
                raise ArgumentError(f"`{name}` must be a number above 0. Received: {value!r}")
        if self.trials is None and self.total_epochs is None and self.minutes is None and self.oracle not in (
                "grid", "hyperband"):
            raise ArgumentError("A search needs an end: give `trials`, `total_epochs` or `minutes`.")

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of objectives and constraints, each once, in their order."""
        return tuple(dict.fromkeys([o.name for o in self.objectives] + [c.name for c in self.constraints]))

    def to_dict(self) -> dict[str, Any]:
        """Returns the configuration as JSON-ready data."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return values | {"data": anywhere(self.data).to_dict() if self.data else None,
                         "objectives": [str(objective) for objective in self.objectives],
                         "constraints": [str(constraint) for constraint in self.constraints],
                         **{name: dict(values[name]) for name in ("build", "training", "space", "oracle_options",
                                                                  "stopper_options")}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SearchConfig:
        """Reads what `to_dict` wrote, or a part of it.

        Raises:
            ArgumentError: A field is unknown or a value is out of its range.
        """
        known = [f.name for f in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise ArgumentError(UnknownNameError("search option", str(name), known,
                                                     f"Known: {', '.join(known)}.").message)
        read = dict(values)
        if isinstance(read.get("data"), Mapping):
            read["data"] = DataSource.from_dict(read["data"])
        for name, parse in (("objectives", Objective.parse), ("constraints", Constraint.parse)):
            if name in read:
                read[name] = tuple(parse(text) if isinstance(text, str) else text for text in read[name])
        return cls(**read)

    def replace(self, **changes: Any) -> SearchConfig:
        """Returns a copy with other values in the named fields, checked anew."""
        return dataclasses.replace(self, **changes)

    def identity(self) -> dict[str, Any]:
        """Returns the fields that a search may not be continued with other values of, JSON-ready."""
        return {name: value for name, value in self.to_dict().items() if name not in _MAY_CHANGE}


def _require_whole(name: str, value: Any, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ArgumentError(f"`{name}` must be a whole number of at least {low}. Received: {value!r}")
