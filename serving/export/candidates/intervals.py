"""What rounds in turns say about two candidates: the ratio of their times, with an interval that assumes nothing.

The interval of a median by order statistics: the true median lies below the k-th smallest of n values with the
probability that a fair coin shows heads less than k times in n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
# With fewer rounds not even the whole range of the values is an interval of that confidence.
FEWEST_ROUNDS = 6


@dataclass(frozen=True)
class Interval:
    """A median and between which values it lies with a confidence of 95%."""

    median: float
    low: float
    high: float


def median_interval(values: Sequence[float]) -> Interval:
    """Returns the median of values with its interval.

    Args:
        values: At least one; of fewer than six the interval is from 0 to infinity, as nothing is known.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    count = len(ordered)
    if count < FEWEST_ROUNDS:
        return Interval(float(np.median(ordered)), 0.0, math.inf)
    left_out = 0
    while 2 * _tail(count, left_out + 1) <= 1 - CONFIDENCE:
        left_out += 1
    return Interval(float(np.median(ordered)), float(ordered[left_out]), float(ordered[count - 1 - left_out]))


def ratio_interval(rounds: Sequence[float], others: Sequence[float]) -> Interval:
    """Returns the median ratio of two candidates' times.

    Args:
        rounds: One candidate's time in each round.
        others: The other's, in the same rounds: what else the machine did then weighs on both.
    """
    return median_interval([one / other for one, other in zip(rounds, others, strict=True)])


def _tail(count: int, heads: int) -> float:
    """The probability that of `count` coins at most `heads` show heads."""
    return float(sum(math.comb(count, number) for number in range(heads + 1)) / 2.0**count)
