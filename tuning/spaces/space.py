"""A search space: which hyperparameters there are, and which arguments their values make."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tuning.errors import SpaceError
from tuning.spaces.arguments import composed, target_of
from tuning.spaces.dimension import Dimension
from zoo.errors import UnknownNameError

_ORACLES_OWN = "tuner/"  # in front of the names of what Hyperband keeps among the values


@dataclass(frozen=True)
class SearchSpace:
    """Hyperparameters in their order; a condition's parent stands in front of what it decides.

    Args:
        dimensions: The hyperparameters.
        model: The registered model that they are for, or "".
    """

    dimensions: tuple[Dimension, ...] = ()
    model: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimensions", tuple(self.dimensions))
        earlier: dict[str, Dimension] = {}
        for dimension in self.dimensions:
            if dimension.name in earlier:
                raise SpaceError(f"Each hyperparameter is named once. Received: {dimension.name!r} twice.")
            if dimension.parent and dimension.parent not in earlier:
                raise SpaceError(f"The hyperparameter {dimension.name!r} depends on {dimension.parent!r}, which must "
                                 f"stand in front of it. In front stand: {', '.join(earlier) or 'none'}.")
            earlier[dimension.name] = dimension

    @property
    def names(self) -> tuple[str, ...]:
        """The hyperparameters' names, in order."""
        return tuple(dimension.name for dimension in self.dimensions)

    @property
    def size(self) -> int | None:
        """The number of different points, or None where there is no end of them."""
        return self._points("", None)

    def __getitem__(self, name: str) -> Dimension:
        """Returns a hyperparameter by its name."""
        self._require(name)
        return self._by_name()[name]

    def __contains__(self, name: object) -> bool:
        """Tells whether there is a hyperparameter of this name."""
        return name in self.names

    def __len__(self) -> int:
        """Returns the number of hyperparameters, fixed ones included."""
        return len(self.dimensions)

    # === What it becomes ===

    def register(self, hp: Any) -> None:
        """Declares every hyperparameter, each under its condition.

        Args:
            hp: A `keras_tuner.HyperParameters`; what it holds already stays.
        """
        for dimension in self.dimensions:
            with contextlib.ExitStack() as scopes:
                for child in reversed(self._conditions(dimension)):
                    parent = self[child.parent]
                    labels = [parent.label_of(value) for value in child.parent_values]
                    scopes.enter_context(hp.conditional_scope(parent.name, labels))
                _declare(hp, dimension)

    def split(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Turns a trial's values into arguments.

        Args:
            values: Values by the hyperparameters' names, as a tuner holds them. The oracle's own ("tuner/...") and
                those whose condition is not met are left out; for one that is missing its start value is taken.

        Returns:
            Arguments of `zoo.build`, fields of `TrainingConfig`, and fields of `DataSource`.

        Raises:
            SpaceError: A name is not of this space, or a value is none of its hyperparameter's.
        """
        for name in values:
            if not name.startswith(_ORACLES_OWN):
                self._require(name)
        arguments: dict[str, dict[str, Any]] = {"build": {}, "training": {}, "data": {}}
        for dimension in self.dimensions:
            if self._active(dimension, values):
                value = dimension.decoded(values.get(dimension.name, dimension.start))
                arguments[dimension.target][dimension.sets] = composed(dimension.sets, value)
        return arguments["build"], arguments["training"], arguments["data"]

    def sample(self, generator: random.Random) -> dict[str, Any]:
        """Returns a point drawn evenly, as a tuner holds its values; what its conditions rule out is left out.

        Args:
            generator: Decides it.
        """
        values: dict[str, Any] = {}
        for dimension in self.dimensions:
            value = dimension.at(generator.random())  # drawn anyway: a condition changes no later value
            if self._active(dimension, values):
                values[dimension.name] = value
        return values

    def corners(self) -> list[dict[str, Any]]:
        """Returns the start point, and it with each hyperparameter in turn at each choice or end of its range."""
        points = []
        for dimension in self.dimensions:
            for value in dimension.labels or (dimension.low, dimension.high):
                point = {child.parent: self[child.parent].label_of(child.parent_values[0])
                         for child in self._conditions(dimension)} | {dimension.name: value}
                whole = {other.name: point.get(other.name, other.start) for other in self.dimensions}
                points.append({name: whole[name] for name in whole if self._active(self[name], whole)})
        return points

    def to_dict(self) -> dict[str, Any]:
        """Returns the space as JSON-ready data."""
        return {"model": self.model, "dimensions": [dimension.to_dict() for dimension in self.dimensions]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SearchSpace:
        """Reads what `to_dict` wrote; nothing is the empty space.

        Raises:
            SpaceError: It has another form.
        """
        if not set(values) <= {"model", "dimensions"}:
            raise SpaceError(f"A space holds `model` and `dimensions`. Received: {', '.join(map(str, values))}")
        return cls(tuple(Dimension.from_dict(entry) for entry in values.get("dimensions", ())),
                   str(values.get("model", "")))

    # === Other spaces made from it ===

    def changed(self, settings: Mapping[str, Any]) -> SearchSpace:
        """Returns the space with some hyperparameters set anew or added.

        What is set for an argument that several hyperparameters set under conditions (`learning_rate` depends on the
        optimizer) takes the place of all of them, unconditionally.

        Args:
            settings: By name: text as `Dimension.parse` reads it, a list of choices, a dict of fields of `Dimension`
                ({"low": 0.1, "high": 0.5}, {"value": 3} for a fixed one), a `Dimension`, or a value to fix it at. A
                new name is an argument of the training, the data or the model's builder.

        Raises:
            SpaceError: A setting cannot be read, or nothing takes such an argument.
        """
        dimensions = list(self.dimensions)
        for name, setting in settings.items():
            dimensions = self._with(dimensions, name, setting)
        return _settled(dimensions, self.model)

    def only(self, names: Iterable[str]) -> SearchSpace:
        """Returns the space of these hyperparameters alone; fixed ones stay as well.

        A condition on one that is left out counts as that one's start value says.

        Raises:
            UnknownNameError: It has no such hyperparameter.
        """
        kept = set(self._require(*names))
        return self.without([d.name for d in self.dimensions if d.name not in kept and d.kind != "fixed"])

    def without(self, names: Iterable[str] | Mapping[str, Any]) -> SearchSpace:
        """Returns the space without these hyperparameters, whose arguments then keep their defaults.

        Args:
            names: Hyperparameters, or arguments that several of them set. A mapping says which values they have
                instead, so that conditions on them are judged by these; otherwise their start values count.

        Raises:
            UnknownNameError: It has no such hyperparameter.
        """
        listed = self._require(*names)
        given = dict(names) if isinstance(names, Mapping) else {}
        gone = {d.name for d in self.dimensions if d.name in listed or d.sets in listed}
        decided = [d.fixed_at(given.get(d.name, d.decoded(d.start))) if d.name in gone else d for d in self.dimensions]
        settled = _settled(decided, self.model)
        return SearchSpace(tuple(d for d in settled.dimensions if d.name not in gone), self.model)

    # === Details ===

    def _with(self, dimensions: list[Dimension], name: str, setting: Any) -> list[Dimension]:
        same = [d for d in dimensions if d.name == name]
        rivals = [d for d in dimensions if d.sets == name]
        if not same and not rivals:
            target = setting.target if isinstance(setting, Dimension) else target_of(name, self.model, self.names)
            return [*dimensions, _read(name, setting, {"target": target})]
        old = (same or rivals)[0]
        if len(rivals) > 1:
            place = min(dimensions.index(d) for d in rivals)
            rest = [d for d in dimensions if d not in rivals]
            return [*rest[:place], _read(name, setting, {"target": old.target}), *rest[place:]]
        kept = {field: getattr(old, field) for field in ("target", "argument", "parent", "parent_values")}
        return [_read(old.name, setting, kept) if d is old else d for d in dimensions]

    def _by_name(self) -> dict[str, Dimension]:
        return {dimension.name: dimension for dimension in self.dimensions}

    def _require(self, *names: str) -> tuple[str, ...]:
        known = {d.name for d in self.dimensions} | {d.sets for d in self.dimensions}
        for name in names:
            if name not in known:
                raise SpaceError(UnknownNameError("hyperparameter", str(name), sorted(known),
                                                  f"This space has: {', '.join(self.names) or 'none'}.").message)
        return names

    def _conditions(self, dimension: Dimension) -> list[Dimension]:
        """Returns the dimension and those above it that have a parent, from the lowest."""
        chain = []
        while dimension.parent:
            chain.append(dimension)
            dimension = self[dimension.parent]
        return chain

    def _active(self, dimension: Dimension, values: Mapping[str, Any]) -> bool:
        for child in self._conditions(dimension):
            parent = self[child.parent]
            if parent.decoded(values.get(parent.name, parent.start)) not in child.parent_values:
                return False
        return True

    def _points(self, parent: str, value: Any) -> int | None:
        product = 1
        for dimension in self.dimensions:
            if dimension.parent != parent or (parent and value not in dimension.parent_values):
                continue
            points = self._points_below(dimension)
            if points is None:
                return None
            product *= points
        return product

    def _points_below(self, dimension: Dimension) -> int | None:
        values: tuple[Any, ...] = dimension.choices if dimension.kind == "choice" else (dimension.default,)
        if dimension.kind in ("int", "float"):
            return dimension.size
        counts = [self._points(dimension.name, value) for value in values]
        return None if None in counts else sum(count for count in counts if count is not None)


def _declare(hp: Any, dimension: Dimension) -> None:
    if dimension.kind == "fixed":
        hp.Fixed(dimension.name, dimension.start)
    elif dimension.kind == "choice":
        if len(dimension.choices) == 2 and all(isinstance(value, bool) for value in dimension.choices):
            hp.Boolean(dimension.name, default=dimension.start)
        else:
            hp.Choice(dimension.name, list(dimension.labels), default=dimension.start)
    elif dimension.steps:
        # KerasTuner divides by the step and rounds down, which loses the end of ranges such as 0 to 0.5 by 0.1.
        hp.Choice(dimension.name, list(dimension.steps), default=dimension.start)
    else:
        make = hp.Int if dimension.kind == "int" else hp.Float
        make(dimension.name, dimension.low, dimension.high, step=dimension.step, default=dimension.start,
             sampling="log" if dimension.log else "linear")


def _read(name: str, setting: Any, fields: dict[str, Any]) -> Dimension:
    if isinstance(setting, Dimension):
        return setting.replace(name=name)
    if isinstance(setting, str):
        return Dimension.parse(name, setting, **fields)
    if isinstance(setting, list | tuple):
        return Dimension(name=name, **{**fields, "kind": "choice", "choices": tuple(setting)})
    if not isinstance(setting, Mapping):
        return Dimension(name=name, **{**fields, "kind": "fixed", "default": setting})
    if "value" in setting:
        if len(setting) > 1:
            raise SpaceError(f"The hyperparameter {name!r}: `value` stands alone. Received: {dict(setting)}")
        return Dimension(name=name, **{**fields, "kind": "fixed", "default": setting["value"]})
    return Dimension.from_dict({"name": name, **fields, "kind": _kind_of(setting), **setting})


def _kind_of(setting: Mapping[str, Any]) -> str:
    if "choices" in setting:
        return "choice"
    ends = [setting[field] for field in ("low", "high", "step") if setting.get(field) is not None]
    return "int" if ends and all(isinstance(end, int) for end in ends) else "float"


def _settled(dimensions: Iterable[Dimension], model: str) -> SearchSpace:
    """Judges conditions on fixed hyperparameters once and for all."""
    kept: dict[str, Dimension] = {}
    gone: set[str] = set()
    for dimension in dimensions:
        parent = kept.get(dimension.parent)
        if dimension.parent in gone or (parent is not None and _never(parent, dimension)):
            gone.add(dimension.name)
            continue
        if parent is not None and parent.kind == "fixed":
            dimension = dimension.replace(parent=parent.parent, parent_values=parent.parent_values)
        kept[dimension.name] = dimension
    return SearchSpace(tuple(kept.values()), model)


def _never(parent: Dimension, child: Dimension) -> bool:
    values = (parent.default,) if parent.kind == "fixed" else parent.choices
    return parent.kind in ("fixed", "choice") and not set(values) & set(child.parent_values)
