from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from zoo.evaluation.measurement import ones
from zoo.evaluation.regression_metrics import RegressionErrors, output_results


def _random(outputs: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    targets = generator.normal(1e4, 5.0, size=(101, outputs))
    return targets, targets + generator.normal(0, [1.0, 2.0, 3.0][:outputs], size=(101, outputs))


@pytest.mark.parametrize("outputs", [1, 3])
def test_errors_equal_scikit_learn(outputs: int) -> None:
    """Every metric is scikit-learn's, averaged over the outputs; also far from zero."""
    targets, predicted = _random(outputs)
    found = {name: value[0] for name, value in RegressionErrors(targets, predicted)(ones(101)).items()}
    assert found == pytest.approx({
        "mse": reference.mean_squared_error(targets, predicted),
        "rmse": reference.root_mean_squared_error(targets, predicted),
        "mae": reference.mean_absolute_error(targets, predicted),
        "median_absolute_error": reference.median_absolute_error(targets, predicted),
        "r2": reference.r2_score(targets, predicted)})


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(-100, 100), st.integers(0, 3)), min_size=1, max_size=20))
def test_a_weight_is_the_same_as_so_many_copies(rows: list[tuple[float, float, int]]) -> None:
    """A resample with weights gives what the written-out resample gives, medians included."""
    columns = np.array([*rows, (0.5, 1.0, 1)])
    targets, predicted, weights = columns[:, :1], columns[:, 1:2], columns[:, 2]
    weighted = RegressionErrors(targets, predicted)(weights[None])
    counts = weights.astype(int)
    written_targets, written_predicted = np.repeat(targets, counts, axis=0), np.repeat(predicted, counts, axis=0)
    error = np.abs(written_targets - written_predicted)
    assert weighted["mae"][0] == pytest.approx(error.mean())
    assert weighted["median_absolute_error"][0] == pytest.approx(np.median(error))
    assert weighted["rmse"][0] == pytest.approx(np.sqrt((error**2).mean()))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e7 / 3])
def test_equal_targets_have_no_r2(value: float) -> None:
    """Nothing can be explained of a variance of zero, also where rounding leaves a trace of one."""
    targets = np.full((7, 1), value)
    assert np.isnan(RegressionErrors(targets, targets + 1.0)(ones(7))["r2"][0])


def test_the_table_of_outputs_has_one_row_each() -> None:
    """Outputs are judged one by one, in their own units."""
    targets, predicted = _random()
    rows = output_results(RegressionErrors(targets, predicted), ("a", "b", "c"))
    assert [row.label for row in rows] == ["a", "b", "c"]
    for i, row in enumerate(rows):
        assert row.max_error == pytest.approx(reference.max_error(targets[:, i], predicted[:, i]))
        assert row.rmse == pytest.approx(reference.root_mean_squared_error(targets[:, i], predicted[:, i]))
        assert row.r2 == pytest.approx(reference.r2_score(targets[:, i], predicted[:, i]))
