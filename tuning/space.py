"""A search space from the catalog: each tunable argument of a model becomes one hyperparameter."""

from __future__ import annotations

from typing import Any, Protocol

from zoo.errors import ArgumentError
from zoo.spec import ModelSpec, Tunable


class HyperParameters(Protocol):
    """What this file uses of `keras_tuner.HyperParameters`."""

    def Choice(self, name: str, values: list[Any]) -> Any:
        """Returns one of the values."""

    def Int(self, name: str, min_value: int, max_value: int, *, step: int | None = None,
            sampling: str | None = None) -> int:
        """Returns a whole number in the closed range."""

    def Float(self, name: str, min_value: float, max_value: float, *, step: float | None = None,
              sampling: str | None = None) -> float:
        """Returns a number in the closed range."""


def build_arguments(hp: HyperParameters, spec: ModelSpec) -> dict[str, Any]:
    """Chooses a value for each tunable argument of a model.

    Args:
        hp: A `keras_tuner.HyperParameters`, which records the choices.
        spec: The model's description, from `zoo.info(name)`.

    Returns:
        Arguments for `zoo.build(spec.name, ...)`.
    """
    return {name: _choose(hp, name, tunable) for name, tunable in spec.tunable.items()}


def _choose(hp: HyperParameters, name: str, tunable: Tunable) -> Any:
    if tunable.choices:
        return hp.Choice(name, list(tunable.choices))
    low, high = tunable.low, tunable.high
    if low is None or high is None:
        raise ArgumentError(f"The tunable argument {name!r} needs `choices`, or `low` and `high`. Received: {tunable}")
    sampling = "log" if tunable.log else "linear"
    if isinstance(low, int) and isinstance(high, int):
        return hp.Int(name, low, high, step=int(tunable.step) if tunable.step else None, sampling=sampling)
    return hp.Float(name, low, high, step=tunable.step, sampling=sampling)
