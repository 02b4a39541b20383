"""From what a user says to the configuration of a search: the space, the objectives and the budget that follow."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuning.config import SearchConfig
from tuning.objectives import Constraint, Objective
from tuning.programs.known_measures import installed_measures
from tuning.spaces import SearchSpace, check_space, read_space, space_of
from zoo.data_source import NAMED_SCHEMES, DataSource
from zoo.errors import ArgumentError, UnknownNameError
from zoo.registry import default_registry
from zoo.training.config import MONITORS

DEFAULT_TRIALS = 20
DEFAULT_ORACLE = "bayesian"
_MONITORS = (*MONITORS, *(f"val_{name}" for name in MONITORS))
_ACCURATE = ("classification", "binary_classification", "token_classification")


@dataclass(frozen=True, kw_only=True)
class SpaceWishes:
    """How the space of a registered model is changed.

    Attributes:
        file: YAML or JSON file of settings, or of a whole space.
        settings: By the hyperparameter's name: text such as "log:1e-5..1e-2", or what `SearchSpace.changed` takes.
        only: The hyperparameters that are searched; empty for all.
        fixed: Values by name, of hyperparameters that are not searched.
    """

    file: str | os.PathLike[str] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    only: Iterable[str] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def applied(self, space: SearchSpace) -> SearchSpace:
        """Returns a space with the changes.

        Args:
            space: The model's own.

        Raises:
            SpaceError: A change cannot be read or does not fit.
        """
        if self.file is not None:
            space = read_space(self.file, space)
        space = space.changed({**self.settings, **{name: {"value": value} for name, value in self.fixed.items()}})
        names = tuple(self.only)
        return space.only(dict.fromkeys([*names, *self.settings])) if names else space


def plan(model: str, data: DataSource, *, wishes: SpaceWishes | None = None, build: Mapping[str, Any] | None = None,
         training: Mapping[str, Any] | None = None, **options: Any) -> SearchConfig:
    """Plans a search for a registered model.

    Args:
        model: Its name, with a weights tag behind a dot if wanted.
        data: The examples.
        wishes: How its space is changed.
        build: Arguments of `zoo.build` that are the same in every trial.
        training: Fields of `TrainingConfig` that are the same in every trial.
        **options: Further fields of `SearchConfig`; those that are left out follow from the model: accuracy for
            classifiers and else the loss, on the validation part; the Bayesian oracle; the epochs of the model's own
            source; 20 trials, unless another bound is given or the oracle comes to an end by itself.

    Returns:
        The configuration, checked: every point of its space can be trained.

    Raises:
        ArgumentError: Something does not fit; the message says what.
        SpaceError: The space does not.
        UnknownNameError: No such model.
    """
    registry = default_registry()
    spec, tag = registry.resolve(model)
    build, training = dict(build or {}), dict(training or {})
    require_data(data)
    epochs = options.setdefault("epochs", training.pop("epochs", spec.training.epochs))
    given = options.pop("space", None)
    own = (space_of(model, epochs=epochs, build=build, training=training) if given is None else
           given if isinstance(given, SearchSpace) else SearchSpace.from_dict(given))
    space = (wishes or SpaceWishes()).applied(own)
    build, training = _without(build, space), _without(training, space)
    check_space(space, build={**({"weights": tag} if tag else {}), **build}, training={**training, "epochs": epochs})
    task = build.get("task") or spec.task
    options.setdefault("objectives", (f"val_{'accuracy' if task in _ACCURATE else 'loss'}",))
    options = _read(options, space)
    _require_measured([one.name for one in (*options["objectives"], *options["constraints"])])
    wanted = next((o.name for o in options["objectives"] if o.name in _MONITORS), None)
    if wanted is not None:  # the epoch that is kept is the one that counts
        training.setdefault("monitor", wanted)
    return SearchConfig(model=model, data=data, build=build, training=training, space=space.to_dict(), **options)


def plan_hypermodel(hypermodel: str, data_function: str = "", **options: Any) -> SearchConfig:
    """Plans a search for a KerasTuner hypermodel or `build(hp)` function of the user's own.

    Args:
        hypermodel: "file.py:name" or "package.module:name".
        data_function: The same of a function without arguments that returns what `model.fit` takes.
        **options: Further fields of `SearchConfig`.

    Returns:
        The configuration.

    Raises:
        ArgumentError: Something does not fit; the message says what.
    """
    references: dict[str, Any] = {"hypermodel": _anywhere(hypermodel), "data_function": _anywhere(data_function)}
    for reference in references.values():
        place = reference.rpartition(":")[0]
        if place.endswith(".py") and not Path(place).is_file():
            raise ArgumentError(f"There is no file {place}. Name your code as file.py:name or package.module:name.")
    options.setdefault("objectives", ("val_loss",))
    return SearchConfig(**references, **_read(options, None))


def require_data(data: DataSource) -> None:
    """Refuses data that are not there, before anything is begun.

    Args:
        data: The data.

    Raises:
        ArgumentError: Neither a public dataset nor a file or folder.
    """
    if not data.path.startswith(NAMED_SCHEMES) and not Path(data.path).exists():
        raise ArgumentError(f"There is no file or folder {data.path}. Give the path of your data, or the name of a "
                            "public dataset such as keras:mnist.")


def _read(options: Mapping[str, Any], space: Any) -> dict[str, Any]:
    """Returns the options with what follows from them, objectives and constraints as objects."""
    known = [one.name for one in dataclasses.fields(SearchConfig)]
    for name in options:
        if name not in known:
            raise ArgumentError(UnknownNameError("search option", str(name), known,
                                                 f"Known: {', '.join(known)}.").message)
    read = dict(options)
    read.setdefault("oracle", DEFAULT_ORACLE)
    read["objectives"] = tuple(_objective(given) for given in _listed(read["objectives"]))
    read["constraints"] = tuple(Constraint.parse(given) if isinstance(given, str) else given
                                for given in _listed(read.get("constraints", ())))
    if "trials" not in read:
        finite = read["oracle"] == "hyperband" or (
            read["oracle"] == "grid" and (not isinstance(space, SearchSpace) or space.size is not None))
        bounded = read.get("total_epochs") is not None or read.get("minutes") is not None
        read["trials"] = None if bounded or finite else DEFAULT_TRIALS
    return read


def _require_measured(names: Iterable[str]) -> None:
    """Refuses names that no trial would have a value of, before the first one has trained in vain."""
    installed = installed_measures()
    known = (*_MONITORS, *installed)
    hint = (f"Known from the training: {', '.join(MONITORS)}, each also with val_ in front; from installed packages: "
            f"{', '.join(installed) or 'none'}.")
    for name in names:
        if name not in known:
            raise ArgumentError(UnknownNameError("measure", name, known, hint).message)


def _objective(given: Any) -> Objective:
    return Objective.parse(given) if isinstance(given, str) else given


def _listed(given: Any) -> list[Any]:
    return [given] if isinstance(given, str | Objective | Constraint) else list(given)


def _without(fixed: Mapping[str, Any], space: SearchSpace) -> dict[str, Any]:
    """A hyperparameter that was set explicitly wins over an argument that is the same in every trial."""
    searched = {dimension.sets for dimension in space.dimensions}
    return {name: value for name, value in fixed.items() if name not in searched}


def _anywhere(reference: str) -> str:
    """Makes the file of "file.py:name" absolute, so that it is found from every working directory."""
    place, colon, name = reference.rpartition(":")
    return f"{Path(place).absolute()}:{name}" if colon and place.endswith(".py") else reference
