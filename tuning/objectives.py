"""What a search is for: objectives (which measure, which direction) and constraints (what must be met)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from zoo.errors import ArgumentError

Direction = Literal["min", "max"]

# Measures of which more is better; of all others ("loss", "latency_ms", "size_mb", "mae", ...) less is.
_MORE_IS_BETTER = ("accuracy", "top_5_accuracy", "auc", "pearson", "throughput", "f1", "precision", "recall",
                   "macro_f1", "r2", "spearman", "mrr")
_CONSTRAINT = re.compile(r"\s*([A-Za-z_][\w/.]*)\s*(<=|>=)\s*([-+0-9.eE]+)\s*")


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One measure, and whether less ("min") or more ("max") of it is better."""

    name: str
    direction: Direction

    @classmethod
    def parse(cls, text: str) -> Objective:
        """Reads "name", "min:name" or "max:name".

        Raises:
            ArgumentError: It has another form, or no direction is known for the name.
        """
        direction, colon, name = text.strip().rpartition(":")
        if not re.fullmatch(r"[A-Za-z_][\w/.]*", name) or (colon and direction not in ("min", "max")):
            raise ArgumentError("An objective reads NAME, min:NAME or max:NAME, such as val_accuracy or "
                                f"min:latency_ms. Received: {text!r}")
        return cls(name=name, direction=cast(Direction, direction) if colon else direction_of(name))

    def better(self, first: float, second: float) -> bool:
        """Tells whether `first` is better than `second`; a number that is none is never better."""
        if math.isnan(first) or math.isnan(second):
            return not math.isnan(first)
        return first < second if self.direction == "min" else first > second

    def loss(self, value: float) -> float:
        """Returns the value so that less is better; infinite for one that is no number."""
        if math.isnan(value):
            return math.inf
        return value if self.direction == "min" else -value

    def __str__(self) -> str:
        return f"{self.direction}:{self.name}"


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """A bound that a trial must meet: "latency_ms<=5"."""

    name: str
    relation: Literal["<=", ">="]
    bound: float

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Reads NAME<=NUMBER or NAME>=NUMBER.

        Raises:
            ArgumentError: It has another form.
        """
        match = _CONSTRAINT.fullmatch(text)
        try:
            if match is None or not math.isfinite(float(match[3])):
                raise ValueError
        except ValueError:
            raise ArgumentError("A constraint reads NAME<=NUMBER or NAME>=NUMBER, such as 'latency_ms<=5'. "
                                f"Received: {text!r}") from None
        return cls(name=match[1], relation=cast(Literal["<=", ">="], match[2]), bound=float(match[3]))

    def met(self, value: float) -> bool:
        """Tells whether a measure meets the bound; one that is no number does not."""
        return value <= self.bound if self.relation == "<=" else value >= self.bound

    def __str__(self) -> str:
        return f"{self.name}{self.relation}{self.bound:g}"


def direction_of(name: str) -> Direction:
    """Returns the direction in which a measure gets better, from its name.

    Args:
        name: Such as "val_accuracy" or "latency_ms".
    """
    return "max" if name.removeprefix("val_") in _MORE_IS_BETTER else "min"


def unmet(constraints: Iterable[Constraint], measures: Mapping[str, float]) -> tuple[Constraint, ...]:
    """Returns the constraints that measures break; one whose measure is missing counts as met.

    Args:
        constraints: The constraints.
        measures: Values by name.
    """
    return tuple(c for c in constraints if c.name in measures and not c.met(measures[c.name]))
