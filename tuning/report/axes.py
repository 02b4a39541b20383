"""The hyperparameters of a search as axes from 0 to 1, for importance and for parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuning.spaces.dimension import Dimension
from tuning.trial import Trial

# Hyperband decides a trial's epochs before it begins, so they are an input like any other.
EPOCHS = "tuner/epochs"
_LOG_FROM = 100.0  # numbers that span more than this factor are read on a logarithmic axis where no space says so


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One hyperparameter and where its values lie between 0 and 1.

    Attributes:
        name: The hyperparameter.
        choices: Its values in order, where it has choices; empty for a range of numbers.
        low: Smallest number.
        high: Largest number.
        log: Whether the numbers lie on a logarithmic axis.
    """

    name: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 1.0
    log: bool = False

    def unit(self, value: Any) -> float:
        """Returns where a value lies, in [0, 1]; 0.5 for one that the axis has no place for.

        Choices lie in the middle of equal parts, so that each has the same share of the axis.
        """
        if self.choices:
            places = [i for i, choice in enumerate(self.choices) if _same(choice, value)]
            return (places[0] + 0.5) / len(self.choices) if places else 0.5
        if not _is_number(value) or (self.log and value <= 0):
            return 0.5
        low, high, place = self.low, self.high, float(value)
        if self.log:
            low, high, place = math.log(low), math.log(high), math.log(place)
        return min(1.0, max(0.0, (place - low) / (high - low))) if high > low else 0.5

    def ticks(self, most: int = 8) -> list[tuple[float, str]]:
        """Returns places on the axis and the words that stand there.

        Args:
            most: Largest number of choices to name; of more only the first and the last are.
        """
        if self.choices:
            named = self.choices if len(self.choices) <= most else (self.choices[0], self.choices[-1])
            return [(self.unit(choice), words_of(choice)) for choice in named]
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        return [(self.unit(value), f"{value:.3g}") for value in (self.low, middle, self.high)]


def words_of(value: Any) -> str:
    """Returns a hyperparameter's value as people read it.

    Args:
        value: A number, text, truth value, None or list.
    """
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(words_of(part) for part in value) or "none"
    return str(value)


def axes_of(dimensions: Sequence[Dimension], trials: Sequence[Trial]) -> tuple[Axis, ...]:
    """Returns the hyperparameters that differ between trials, in the order of the space.

    Args:
        dimensions: Those of the space; what they do not name (a space that only the user's code knows) is made from
            the values seen.
        trials: The trials.

    Returns:
        One axis for each hyperparameter with two values or more.
    """
    seen: dict[str, list[Any]] = {}
    for trial in trials:
        for name, value in trial.values.items():
            if not name.startswith("tuner/") or name == EPOCHS:
                seen.setdefault(name, []).append(value)
    declared = {dimension.name: dimension for dimension in dimensions}
    order = [name for name in declared if name in seen] + [name for name in seen if name not in declared]
    axes = (_declared(declared[name], seen[name]) if name in declared else _seen(name, seen[name]) for name in order)
    return tuple(axis for axis in axes if len({repr(value) for value in seen[axis.name]}) > 1)


def _declared(dimension: Dimension, values: Sequence[Any]) -> Axis:
    if dimension.low is not None and dimension.high is not None:
        return Axis(name=dimension.name, low=float(dimension.low), high=float(dimension.high), log=dimension.log)
    choices = list(dimension.labels)
    choices += [value for value in _distinct(values) if not any(_same(value, choice) for choice in choices)]
    return Axis(name=dimension.name, choices=tuple(choices))


def _seen(name: str, values: Sequence[Any]) -> Axis:
    if not all(_is_number(value) for value in values):
        return Axis(name=name, choices=tuple(_distinct(values)))
    low, high = float(min(values)), float(max(values))
    return Axis(name=name, low=low, high=high, log=low > 0 and high / low >= _LOG_FROM)


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Returns each value once: numbers by size, then all else by name."""
    once = {repr(value): value for value in values}.values()
    numbers = sorted(value for value in once if _is_number(value))
    return numbers + sorted((value for value in once if not _is_number(value)), key=repr)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return list(first) == list(second)
    return bool(isinstance(first, bool) == isinstance(second, bool) and first == second)
