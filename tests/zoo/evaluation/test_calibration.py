from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from zoo.evaluation.calibration import BINS, CalibrationError, reliability
from zoo.evaluation.measurement import ones


def test_the_table_equals_scikit_learns_curve() -> None:
    """Frequencies and mean probabilities per bin are those of calibration_curve."""
    generator = np.random.default_rng(0)
    confidence = generator.random(500)
    outcome = (generator.random(500) < confidence**2).astype(float)
    found = reliability(CalibrationError(confidence, outcome), "it")
    frequency, mean = calibration_curve(outcome, confidence, n_bins=BINS)
    used = [row for row in found.bins if row.count]
    assert [row.frequency for row in used] == pytest.approx(frequency)
    assert [row.confidence for row in used] == pytest.approx(mean)
    assert sum(row.count for row in found.bins) == 500


def test_the_error_is_the_mean_gap() -> None:
    """Two bins with gaps of 0.1 and 0.5 and three and one examples give (3 * 0.1 + 0.5) / 4."""
    error = CalibrationError(np.array([0.9, 0.9, 0.9, 0.5]), np.array([1.0, 1.0, 1.0, 0.0]))
    assert error(ones(4))["expected_calibration_error"][0] == pytest.approx(0.2)
    assert error(np.array([[3.0, 0.0, 0.0, 1.0]]))["expected_calibration_error"][0] == pytest.approx(0.2)
    assert reliability(error, "it").maximum_error == pytest.approx(0.5)


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_certainty_has_a_bin(confidence: float) -> None:
    """0 and 1 are probabilities too; a certain answer that comes true has no error."""
    error = CalibrationError(np.array([confidence]), np.array([confidence]))
    found = reliability(error, "it")
    assert found.bins[-1 if confidence else 0].count == 1
    assert error(ones(1))["expected_calibration_error"][0] == 0.0


def test_the_written_table_states_its_bins() -> None:
    """An expected calibration error without its number of bins cannot be compared."""
    data = reliability(CalibrationError(np.array([0.7]), np.array([1.0])), "it").to_dict()
    assert data["bin_count"] == 15 and len(data["bins"]) == 15
    assert data["bins"][0] == {"low": 0.0, "high": pytest.approx(1 / 15), "count": 0, "confidence": None,
                               "frequency": None}
