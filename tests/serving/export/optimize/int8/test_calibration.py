"""Ranges that are learned cover what occurs, and cut off what is rare where that makes the rest finer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.int8.calibration import ENTROPY, MIN_MAX, MSE, PERCENTILE, ranges, ranges_by_method
from tests.serving.export.optimize.networks import graph_from

METHODS = (MIN_MAX, PERCENTILE, MSE, ENTROPY)
GENERATOR = np.random.default_rng(4)


def branches() -> Any:
    """A graph whose input is read as it is, without what is negative, and without anything."""
    def build(x: Any) -> Any:
        positive = tf.nn.relu(x, name="positive")
        return tf.add_n([x, positive, tf.multiply(x, 0.0, name="nothing")], name="sum")
    return graph_from(build, None, 1000)


def bell(rows: int, *, outlier: float = 0.0) -> Any:
    values = GENERATOR.normal(0, 1, (rows, 1000)).astype(np.float32)
    values[0, 0] = outlier or values[0, 0]
    return {"x": values}


def squared_error(values: Any, bound: float, steps: int) -> float:
    scale = bound / steps
    return float(np.mean((np.clip(np.round(values / scale), -steps, steps) * scale - values) ** 2))


def test_min_max_is_what_occurs() -> None:
    """Over all sets of rows; a tensor without negative values starts at 0, one of zeros has no width."""
    sets = [bell(3), bell(2), bell(1)]
    found = ranges(branches(), ["x", "positive:0", "nothing"], sets, MIN_MAX)
    values = np.concatenate([rows["x"] for rows in sets])
    np.testing.assert_allclose(found["x"], [values.min(), values.max()])
    np.testing.assert_allclose(found["positive:0"], [0.0, values.max()])
    assert found["nothing"] == (0.0, 0.0)


@pytest.mark.parametrize("method", [PERCENTILE, ENTROPY])
def test_one_value_far_out_does_not_make_all_others_coarse(method: str) -> None:
    """An outlier of ten times the others is cut off, and what is usual is nearer to the truth than with min-max."""
    rows = bell(40, outlier=-40.0)
    low, high = ranges(branches(), ["x"], [rows], method)["x"]
    assert -12 < low < -2
    assert 2 < high < 12
    usual = rows["x"][1:]
    assert squared_error(usual, max(-low, high), 127) < squared_error(usual, 40.0, 127) / 4


def test_mse_is_the_best_bound() -> None:
    """No bound of a fine grid has a clearly smaller squared error, signed or not."""
    rows = {"x": (GENERATOR.standard_t(3, (20, 1000))).astype(np.float32)}
    found = ranges(branches(), ["x", "positive"], [rows], MSE)
    for name, values, steps in (("x", rows["x"], 127), ("positive", np.maximum(rows["x"], 0), 255)):
        bound = max(-found[name][0], found[name][1])
        best = min(squared_error(values, other, steps) for other in np.linspace(2, np.abs(values).max(), 300))
        assert squared_error(values, bound, steps) < 1.1 * best


@pytest.mark.parametrize("method", METHODS)
def test_ranges_do_not_reach_beyond_what_occurs(method: str) -> None:
    """Evenly spread values are covered, nothing more."""
    rows = {"x": GENERATOR.uniform(-1, 3, (20, 1000)).astype(np.float32)}
    low, high = ranges(branches(), ["x"], [rows], method)["x"]
    assert -1 <= low < -0.95
    assert 2.6 < high <= 3


def test_of_many_values_some_are_enough() -> None:
    """A set of more values than are counted gives nearly the range of a smaller one of the same kind."""
    few, many = (ranges(branches(), ["x"], [bell(count)], MSE)["x"] for count in (100, 700))
    np.testing.assert_allclose(few, many, rtol=0.1)


def test_rows_in_parts_are_the_same_rows() -> None:
    """How the calibration is cut into sets, and sets without a row, change nothing."""
    rows = bell(6)["x"]
    whole = ranges(branches(), ["x", "positive"], [{"x": rows}])
    parts = ranges(branches(), ["x", "positive"], [{"x": rows[:1]}, {"x": rows[1:]}, {"x": rows[:0]}])
    assert whole == parts


def test_several_methods_at_once_are_each_by_itself() -> None:
    """Whether the rows are run for one method or for all makes no difference."""
    sets = [bell(3, outlier=20.0), bell(2)]
    found = ranges_by_method(branches(), ["x", "positive:0"], sets, METHODS)
    assert found == {method: ranges(branches(), ["x", "positive:0"], sets, method) for method in METHODS}


@pytest.mark.parametrize(("rows", "method", "words"), [
    ([], MSE, "no row"), ([{"x": np.zeros((0, 1000), np.float32)}], MSE, "no row"),
    ([{"x": np.full((1, 1000), np.nan, np.float32)}], MIN_MAX, "NaN or infinity in 'x'"),
    ([bell(1)], "median", "min-max, percentile, mse, entropy, not 'median'")])
def test_what_cannot_be_learned_from_is_refused(rows: Any, method: str, words: str) -> None:
    """The message says what is wrong with it."""
    with pytest.raises(ValueError, match=words):
        ranges(branches(), ["x"], rows, method)
