"""A measured figure with its interval, and how both come from one statistic.

A statistic is a function of weights [b, N] (row = one resample, entry = how often an example is drawn) that returns
one value [b] per metric name. Weights of one give the figure itself, drawn weights give its bootstrap distribution,
so a figure and its interval can never be two different formulas.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zoo.errors import ArgumentError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CONFIDENCE = 0.95
MINIMUM_RESAMPLES = 100  # fewer leave the 2.5 % tails to two or three draws
_CHUNK_ENTRIES = 4_000_000  # weights held at once: 32 MB of float64


class Statistic(Protocol):
    """Computes metrics of weighted examples."""

    def __call__(self, weights: Floats) -> Mapping[str, Floats]:
        """Returns one value [b] per metric for weights [b, N]; NaN where the metric is undefined."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measured figure, its 95 % interval, and what has to be known to read it.

    Attributes:
        value: The figure; None where it is undefined, and `note` says why.
        low: Lower end of the interval, None where there is none.
        high: Upper end of the interval, None where there is none.
        note: A sentence, or empty.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns the figure as JSON-ready data without NaN."""
        return {"value": self.value, "low": self.low, "high": self.high, "note": self.note}


@dataclass(frozen=True)
class Means:
    """The statistic "mean over examples" for several values per example, each [N]."""

    values: Mapping[str, Floats]

    def __call__(self, weights: Floats) -> Mapping[str, Floats]:
        """Returns the weighted means, one [b] per name."""
        totals = weights.sum(axis=1)
        return {name: weights @ value / totals for name, value in self.values.items()}


def ones(count: int) -> Floats:
    """Returns the weights [1, count] that stand for the sample itself."""
    return np.ones((1, count), dtype=np.float64)


def finite_or_none(value: float) -> float | None:
    """Returns the value as a Python float, or None where it is NaN or infinite."""
    return float(value) if math.isfinite(value) else None


def group_sums(groups: Integers, weights: Floats, count: int) -> Floats:
    """Adds up weights by group.

    Args:
        groups: Group index in [0, count) per example, int64 [N].
        weights: [b, N].
        count: Number of groups.

    Returns:
        float64 [b, count].
    """
    return np.stack([np.bincount(groups, weights=row, minlength=count) for row in weights])


def ratio(numerator: Floats, denominator: Floats, *, empty: float = math.nan) -> Floats:
    """Divides elementwise, with `empty` where the denominator is zero."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    quotient: Floats = np.divide(numerator, denominator, out=np.full(shape, empty), where=denominator != 0)
    return quotient


def row_means(values: Floats) -> Floats:
    """Returns the mean of each row of [b, m] over its entries that are not NaN; NaN for a row of NaN alone."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


def resamples(count: int, samples: int, seed: int) -> Iterator[Floats]:
    """Draws bootstrap resamples in chunks of bounded memory.

    Args:
        count: Number of examples N, at least 1.
        samples: Number of resamples.
        seed: Seed of the draw; the same seed gives the same resamples whatever the chunks are.

    Returns:
        Chunks of weights float64 [b, N]; the rows of all chunks are `samples`, each row sums to N.
    """
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK_ENTRIES // count)
    for start in range(0, samples, rows):
        chunk = np.empty((min(rows, samples - start), count))
        for row in chunk:
            row[:] = np.bincount(generator.integers(0, count, size=count), minlength=count)
        yield chunk


def check_resamples(samples: int) -> None:
    """Refuses a number of resamples that gives no usable interval.

    Raises:
        ArgumentError: Not 0 (no intervals) and below `MINIMUM_RESAMPLES`.
    """
    if samples != 0 and samples < MINIMUM_RESAMPLES:
        raise ArgumentError(f"`bootstrap_samples` must be 0 (no intervals) or at least {MINIMUM_RESAMPLES}. "
                            f"Received: {samples}")


def measure(statistics: Sequence[Statistic], *, count: int, samples: int, seed: int) -> dict[str, Metric]:
    """Computes every metric of the statistics with its percentile bootstrap interval.

    Args:
        statistics: What to compute; their names must not collide.
        count: Number of examples N.
        samples: Number of resamples; 0 gives no intervals.
        seed: Seed of the resamples.

    Returns:
        Metric by name; an undefined one has the value None.
    """
    check_resamples(samples)
    whole = ones(count)
    points = {name: float(value[0]) for one in statistics for name, value in one(whole).items()}
    draws: dict[str, list[Floats]] = {name: [] for name in points}
    for weights in resamples(count, samples, seed) if samples else ():
        for one in statistics:
            for name, values in one(weights).items():
                draws[name].append(values)
    return {name: _metric(point, draws[name]) for name, point in points.items()}


def _metric(point: float, draws: Sequence[Floats]) -> Metric:
    value = finite_or_none(point)
    if value is None or not draws:
        return Metric(value=value)
    drawn = np.concatenate(draws)
    known = drawn[np.isfinite(drawn)]
    if known.size < max(MINIMUM_RESAMPLES, drawn.size / 2):
        return Metric(value=value, note=f"No interval: undefined in {drawn.size - known.size} of {drawn.size} "
                                        "resamples; more examples are needed.")
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(known, [tail, 1.0 - tail])
    missing = drawn.size - known.size
    note = f"The interval leaves out {missing} of {drawn.size} resamples, where it is undefined." if missing else ""
    return Metric(value=value, low=float(low), high=float(high), note=note)
