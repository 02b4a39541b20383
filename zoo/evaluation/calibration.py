"""Whether stated probabilities come true: the reliability table and its summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.evaluation.measurement import Floats, Integers, group_sums, ratio

BINS = 15


@dataclass(frozen=True, eq=False)
class CalibrationError:
    """Expected calibration error over bins of equal width in [0, 1].

    Attributes:
        confidence: Stated probability in [0, 1], [N].
        outcome: 1.0 where it came true, else 0.0, [N].
        bins: Number of bins.
    """

    confidence: Floats
    outcome: Floats
    bins: int = BINS

    @property
    def bin_of(self) -> Integers:
        """Bin of each example, int64 [N]; the last bin contains 1.0."""
        return np.clip((self.confidence * self.bins).astype(np.int64), 0, self.bins - 1)

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Returns "expected_calibration_error" [b] for weights [b, N]."""
        gaps = group_sums(self.bin_of, weights * (self.outcome - self.confidence), self.bins)
        return {"expected_calibration_error": np.abs(gaps).sum(axis=1) / weights.sum(axis=1)}


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """One row of the reliability table; the means are None in an empty bin.

    Attributes:
        low: Lower edge (included).
        high: Upper edge (included in the last bin alone).
        count: Examples in it.
        confidence: Mean stated probability.
        frequency: Share that came true.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    frequency: float | None


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The reliability table, its largest gap, and what the probability is of.

    Attributes:
        of: What the stated probability is of, in words.
        bins: The rows from 0 to 1.
        maximum_error: Largest gap between confidence and frequency over the bins that are not empty.
    """

    of: str
    bins: tuple[ReliabilityBin, ...]
    maximum_error: float

    def to_dict(self) -> dict[str, Any]:
        """Returns the table as JSON-ready data."""
        return {"of": self.of, "bin_count": len(self.bins), "bin_kind": "equal width",
                "maximum_calibration_error": self.maximum_error, "bins": [dict(vars(row)) for row in self.bins]}


def reliability(error: CalibrationError, of: str) -> Calibration:
    """Builds the reliability table.

    Args:
        error: Stated probabilities and outcomes.
        of: What the probability is of, in words.

    Returns:
        The table with one row per bin.
    """
    places = error.bin_of
    count = np.bincount(places, minlength=error.bins).astype(np.float64)
    confidence = ratio(group_sums(places, error.confidence[None], error.bins)[0], count)
    frequency = ratio(group_sums(places, error.outcome[None], error.bins)[0], count)
    rows = tuple(ReliabilityBin(low=i / error.bins, high=(i + 1) / error.bins, count=int(count[i]),
                                confidence=float(confidence[i]) if count[i] else None,
                                frequency=float(frequency[i]) if count[i] else None)
                 for i in range(error.bins))
    return Calibration(of=of, bins=rows, maximum_error=float(np.nanmax(np.abs(confidence - frequency))))
