"""The intervals of medians and ratios."""

from __future__ import annotations

import math

import numpy as np
import pytest

from serving.export.candidates.intervals import median_interval, ratio_interval


@pytest.mark.parametrize("count", [6, 9, 20])
def test_the_interval_holds_the_true_median_as_often_as_it_says(count: int) -> None:
    """Of many samples from a skewed distribution at least 95% give an interval around its median."""
    generator = np.random.default_rng(count)
    samples = generator.exponential(1.0, (2000, count)) + 3.0
    true = 3.0 + math.log(2)
    found = [median_interval(sample) for sample in samples]
    share = np.mean([one.low <= true <= one.high for one in found])
    assert 0.945 <= share <= 1.0
    assert all(one.low <= one.median <= one.high for one in found)
    if count == 20:
        assert np.mean([one.low > sample.min() for one, sample in zip(found, samples, strict=True)]) == 1.0


def test_few_rounds_say_nothing() -> None:
    """Five values are no interval of that confidence, so everything stays possible."""
    found = median_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.median, found.low, found.high) == (3.0, 0.0, math.inf)


def test_what_weighs_on_both_drops_out() -> None:
    """A machine that becomes ten times as slow does not blur a ratio of turns in the same rounds."""
    weight = [1.0, 1.0, 10.0, 10.0, 3.0, 3.0, 1.0, 5.0, 7.0]
    found = ratio_interval([0.5 * value for value in weight], weight)
    assert (found.low, found.median, found.high) == (0.5, 0.5, 0.5)
