"""One hyperparameter of a search space, as pure data."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tuning.errors import SpaceError
from tuning.spaces.notation import read_notation
from zoo.errors import UnknownNameError

Kind = Literal["choice", "int", "float", "fixed"]
Target = Literal["build", "training", "data"]

KINDS: tuple[str, ...] = get_args(Kind)
TARGETS: tuple[str, ...] = get_args(Target)
NOTHING = "none"
"""What a tuner sees in place of None."""

# A stepped float is a sum of steps; this many digits tell the steps apart and leave the rounding out.
_DIGITS = 12
_MOST_STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One hyperparameter: its name, what it may be, when it matters and what it sets.

    Attributes:
        name: Unique within its space.
        kind: "choice" of `choices`; "int" or "float" in the closed range `low` to `high`; "fixed" at `default`.
        choices: Numbers, strings, True, False or None, each once.
        low: Smallest value.
        high: Largest value.
        step: Distance of two neighbours, or with `log` their quotient; None for every value of the range.
        log: Whether values are drawn evenly on a logarithmic scale.
        default: The value to begin with; None takes the first choice or `low`.
        parent: Name of an earlier dimension that decides whether this one matters, or "".
        parent_values: The values of the parent that it matters for.
        target: What it is an argument of: `zoo.build`, `zoo.training.TrainingConfig` or the data.
        argument: Name of that argument where it is another than `name`, or "".
    """

    name: str
    kind: Kind = "choice"
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    default: Any = None
    parent: str = ""
    parent_values: tuple[Any, ...] = ()
    target: Target = "build"
    argument: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(self.choices))
        object.__setattr__(self, "parent_values", tuple(self.parent_values))
        if not isinstance(self.name, str) or not self.name or self.name.startswith("tuner/"):
            raise SpaceError(f"A hyperparameter's name is a non-empty string that does not begin with 'tuner/', which "
                             f"is KerasTuner's own. Received: {self.name!r}")
        for what, value, known in (("kind", self.kind, KINDS), ("target", self.target, TARGETS)):
            if value not in known:
                raise self._error(f"`{what}` must be one of {', '.join(known)}", value)
        if bool(self.parent) != bool(self.parent_values):
            raise self._error("`parent` and `parent_values` are given together", (self.parent, self.parent_values))
        if self.kind == "choice":
            self._check_choices()
        elif self.kind in ("int", "float"):
            self._check_range()

    @classmethod
    def parse(cls, name: str, text: str, **fields: Any) -> Dimension:
        """Reads a dimension as the command line gives it.

        Args:
            name: Its name.
            text: "0.1..0.5", "16..256 step 16", "log:1e-5..1e-2", "{16,32,64}" or "16,32,64"; "=0.2" or "0.2" for
                a fixed value. Two whole ends make whole numbers; "none", "true" and "false" are None, True and
                False; quotes make a string of anything.
            **fields: Other fields, such as `target`.

        Raises:
            SpaceError: It has another form.
        """
        return cls(name=name, **{**fields, **read_notation(name, text)})

    @property
    def sets(self) -> str:
        """The argument that it is given to."""
        return self.argument or self.name

    @property
    def labels(self) -> tuple[Any, ...]:
        """The choices, or the fixed value, as a tuner can hold them: all strings, all numbers or all booleans."""
        values = (self.default,) if self.kind == "fixed" else self.choices
        if all(isinstance(value, bool) for value in values):
            return values
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            whole = all(isinstance(value, int) for value in values)
            return values if whole else tuple(float(value) for value in values)
        return tuple(_label(value) for value in values)

    @property
    def steps(self) -> tuple[float, ...]:
        """The values of a range of equal steps between numbers that need not be whole; else empty."""
        if self.kind != "float" or self.step is None or self.log:
            return ()
        low, _ = self._ends()
        return tuple(_clean(low + place * self.step) for place in range(self.size or 0))

    @property
    def start(self) -> Any:
        """The value to begin with, as a tuner holds it."""
        if self.kind in ("fixed", "choice"):
            values = (self.default,) if self.kind == "fixed" else self.choices
            place = values.index(self.default) if self.default is not None and self.default in values else 0
            return self.labels[place]
        start = self.low if self.default is None else self.default
        return min(self.steps, key=lambda step: abs(step - float(start or 0.0))) if self.steps else start

    @property
    def size(self) -> int | None:
        """The number of different values, or None where there is no end of them."""
        if self.kind in ("fixed", "choice"):
            return len(self.labels)
        low, high = self._ends()
        if self.step is None:
            return int(high) - int(low) + 1 if self.kind == "int" else None
        steps = math.log(high / low) / math.log(self.step) if self.log else (high - low) / self.step
        return math.floor(steps + 1e-9) + 1

    def label_of(self, value: Any) -> Any:
        """Returns a value as a tuner holds it."""
        values = (self.default,) if self.kind == "fixed" else self.choices
        place = _place(values, value)
        return value if place is None else self.labels[place]

    def decoded(self, value: Any) -> Any:
        """Returns what a tuner's value stands for.

        Args:
            value: A choice's label, or a number.

        Raises:
            SpaceError: It is no value of this dimension.
        """
        if self.kind in ("fixed", "choice"):
            place = _place(self.labels, value)
            if place is None:
                raise self._error(f"its values are {', '.join(map(str, self.labels))}", value)
            return self.default if self.kind == "fixed" else self.choices[place]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._error("its values are numbers", value)
        return int(value) if self.kind == "int" else _clean(value)

    def at(self, share: float) -> Any:
        """Returns the value at a share of the range, as a tuner holds it.

        Args:
            share: In [0, 1); evenly drawn ones give evenly drawn values, or evenly drawn logarithms.
        """
        if self.kind in ("fixed", "choice"):
            return self.labels[int(share * len(self.labels))]
        if self.steps:
            return self.steps[int(share * len(self.steps))]
        low, high = self._ends()
        if self.step is not None:
            place = int(share * (self.size or 1))
            value = low * self.step ** place if self.log else low + place * self.step
        else:
            end = high + 1 if self.kind == "int" else high
            value = low * (end / low) ** share if self.log else low + share * (end - low)
        return min(int(value + 1e-9), int(high)) if self.kind == "int" else min(value, high)

    def replace(self, **changes: Any) -> Dimension:
        """Returns a copy with other values in the named fields, checked anew."""
        return dataclasses.replace(self, **changes)

    def fixed_at(self, value: Any) -> Dimension:
        """Returns the dimension with this one value."""
        return self.replace(kind="fixed", default=value, choices=(), low=None, high=None, step=None, log=False)

    def to_dict(self) -> dict[str, Any]:
        """Returns the dimension as JSON-ready data, without the fields that have their defaults."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        shown = {field.name: values[field.name] for field in dataclasses.fields(self)
                 if field.name in ("name", "kind", "target") or values[field.name] != field.default}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in shown.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Dimension:
        """Reads what `to_dict` wrote.

        Raises:
            SpaceError: A field is unknown or missing, or a value is out of its range.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise SpaceError(UnknownNameError("field of a hyperparameter", str(name), known,
                                                  f"Known: {', '.join(known)}.").message)
        if "name" not in values:
            raise SpaceError(f"A hyperparameter needs a `name`. Received: {dict(values)}")
        return cls(**values)

    def _check_choices(self) -> None:
        if not self.choices:
            raise self._error("a choice needs `choices`", self.choices)
        for value in self.choices:
            if not isinstance(value, str | int | float | None) or (isinstance(value, float) and
                                                                   not math.isfinite(value)):
                raise self._error("choices are numbers, strings, True, False or None", value)
        if len({(str(label), isinstance(label, bool)) for label in self.labels}) != len(self.choices):
            raise self._error("each choice is given once", list(self.choices))
        if self.default is not None and _place(self.choices, self.default) is None:
            raise self._error(f"`default` is one of the choices {list(self.choices)}", self.default)

    def _check_range(self) -> None:
        whole = self.kind == "int"
        for field, value in (("low", self.low), ("high", self.high), ("step", self.step), ("default", self.default)):
            if value is None and field in ("step", "default"):
                continue
            kinds = int if whole else (int, float)
            if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
                raise self._error(f"`{field}` must be a {'whole ' if whole else ''}number", value)
        low, high = self._ends()
        if low >= high:
            raise self._error("`low` must be less than `high`", (self.low, self.high))
        if self.log and low <= 0:
            raise self._error("`low` must be above 0 on a logarithmic scale", self.low)
        if self.step is not None and self.step <= (1 if self.log else 0):
            raise self._error(f"`step` must be above {1 if self.log else 0}", self.step)
        if self.kind == "float" and self.step is not None and not self.log and (high - low) / self.step > _MOST_STEPS:
            raise self._error(f"more than {_MOST_STEPS} steps are as good as none, so leave `step` out", self.step)
        if self.default is not None and not low <= self.default <= high:
            raise self._error(f"`default` must lie in [{low}, {high}]", self.default)

    def _ends(self) -> tuple[float, float]:
        if self.low is None or self.high is None:
            raise self._error("a range needs `low` and `high`", (self.low, self.high))
        return self.low, self.high

    def _error(self, expected: str, received: Any) -> SpaceError:
        return SpaceError(f"The hyperparameter {self.name!r}: {expected}. Received: {received!r}")


def _clean(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _label(value: Any) -> str:
    if value is None:
        return NOTHING
    return value if isinstance(value, str) else json.dumps(value)


def _place(values: tuple[Any, ...], value: Any) -> int | None:
    """Returns where a value stands; True is not 1 where both stand there."""
    exact = [place for place, known in enumerate(values) if type(known) is type(value) and known == value]
    near = [place for place, known in enumerate(values) if known == value]
    return (exact or near or [None])[0]  # type: ignore[list-item]
