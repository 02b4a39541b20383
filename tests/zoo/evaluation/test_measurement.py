from __future__ import annotations

import math

import numpy as np
import pytest

from zoo.errors import ArgumentError
from zoo.evaluation import measurement
from zoo.evaluation.measurement import Floats, Means, Metric, measure, ratio, resamples, row_means


def test_a_resample_draws_as_many_examples_as_there_are() -> None:
    """Each row of weights is a draw with replacement: whole numbers that add up to N."""
    weights = np.concatenate(list(resamples(count=50, samples=200, seed=1)))
    assert weights.shape == (200, 50)
    assert np.array_equal(weights.sum(axis=1), np.full(200, 50.0))
    assert np.array_equal(weights, np.round(weights))
    # About 1/e of the examples are left out of a draw.
    assert (weights == 0).mean() == pytest.approx(math.exp(-1), abs=0.02)


def test_resamples_depend_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of the chunks, which bounds the memory, changes nothing."""
    whole = np.concatenate(list(resamples(30, 120, seed=7)))
    monkeypatch.setattr(measurement, "_CHUNK_ENTRIES", 100)
    chunks = list(resamples(30, 120, seed=7))
    assert len(chunks) == 40
    assert np.array_equal(np.concatenate(chunks), whole)
    assert not np.array_equal(np.concatenate(list(resamples(30, 120, seed=8))), whole)


def test_the_interval_of_a_mean_has_the_width_of_the_normal_law() -> None:
    """For a mean of many examples the bootstrap agrees with +-1.96 standard errors."""
    values = np.random.default_rng(0).normal(3.0, 2.0, size=2000)
    found = measure([Means({"mean": values})], count=2000, samples=2000, seed=0)["mean"]
    error = values.std() / math.sqrt(2000)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """Of 200 intervals of 95 %, 195 +- a few hold the true share of 0.8."""
    generator = np.random.default_rng(3)
    covered = 0
    for trial in range(200):
        values = (generator.random(300) < 0.8).astype(float)
        found = measure([Means({"share": values})], count=300, samples=200, seed=trial)["share"]
        assert found.low is not None and found.high is not None
        covered += found.low <= 0.8 <= found.high
    assert 178 <= covered <= 199


def test_a_statistic_that_is_seldom_defined_has_no_interval() -> None:
    """An interval from a minority of the resamples would be a guess; the note says so."""
    def seldom(weights: Floats) -> dict[str, Floats]:
        return {"x": np.where(weights[:, 0] == 1, 1.0, np.nan)}

    found = measure([seldom], count=40, samples=200, seed=0)["x"]
    assert found.value == 1.0
    assert found.low is None and found.high is None
    assert "undefined in" in found.note


def test_a_statistic_that_is_mostly_defined_says_what_was_left_out() -> None:
    """The number of resamples behind an interval is never hidden."""
    def mostly(weights: Floats) -> dict[str, Floats]:
        return {"x": np.where(weights[:, 0] > 0, weights[:, 1], np.nan)}

    found = measure([mostly], count=40, samples=1000, seed=0)["x"]
    assert found.low is not None
    assert "of 1000 resamples" in found.note


def test_an_undefined_figure_is_none_and_not_nan() -> None:
    """NaN has no place in JSON."""
    found = measure([lambda weights: {"x": np.full(len(weights), np.nan)}], count=5, samples=100, seed=0)["x"]
    assert found == Metric(value=None)
    assert found.to_dict() == {"value": None, "low": None, "high": None, "note": ""}


def test_no_resamples_give_figures_without_intervals() -> None:
    """Zero switches the bootstrap off."""
    found = measure([Means({"mean": np.array([1.0, 3.0])})], count=2, samples=0, seed=0)["mean"]
    assert found == Metric(value=2.0)


def test_too_few_resamples_are_refused() -> None:
    """Ten resamples have no 2.5 % tail."""
    with pytest.raises(ArgumentError, match=r"at least 100. Received: 10"):
        measure([], count=5, samples=10, seed=0)


def test_ratios_and_means_skip_what_is_undefined() -> None:
    """A zero denominator gives the chosen value, NaN stays out of means, and neither warns."""
    quotient = ratio(np.array([[1.0, 0.0, 3.0]]), np.array([[2.0, 0.0, 0.0]]))
    assert quotient[0, 0] == 0.5 and np.isnan(quotient[0, 1:]).all()
    assert ratio(np.array([1.0]), np.array([0.0]), empty=0.0)[0] == 0.0
    means = row_means(np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]]))
    assert means[0] == 2.0 and np.isnan(means[1])
