"""Metrics of predicted numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.evaluation.measurement import Floats, finite_or_none, ones, ratio, row_means

_CONSTANT = 1e-12  # variance below this share of the mean square is rounding, not variance


@dataclass(frozen=True, eq=False)
class RegressionErrors:
    """Errors of k outputs; each metric is computed per output and then averaged plainly, as scikit-learn does.

    Attributes:
        targets: float64 [N, k].
        predicted: float64 [N, k].
    """

    targets: Floats
    predicted: Floats

    def per_output(self, weights: Floats) -> dict[str, Floats]:
        """Returns each metric as [b, k] for weights [b, N]; NaN where undefined."""
        errors = np.abs(self.predicted - self.targets)
        totals = weights.sum(axis=1, keepdims=True)
        mse = weights @ errors**2 / totals
        medians = [_weighted_median(errors[:, i], weights) for i in range(errors.shape[1])]
        return {"mse": mse, "rmse": np.sqrt(mse), "mae": weights @ errors / totals,
                "median_absolute_error": np.stack(medians, axis=1), "r2": 1.0 - ratio(mse, self._variance(weights))}

    def _variance(self, weights: Floats) -> Floats:
        """Returns the variance [b, k] of the drawn targets; 0 where they are all the same."""
        totals = weights.sum(axis=1, keepdims=True)
        centred = self.targets - self.targets.mean(axis=0)  # keeps the difference of two large numbers small
        squares = weights @ centred**2 / totals
        variance = squares - (weights @ centred / totals) ** 2
        constant = (np.ptp(self.targets, axis=0) == 0) | (variance <= _CONSTANT * squares)
        return np.where(constant, 0.0, variance)

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Returns each metric as [b], the mean over the outputs for which it is defined."""
        return {name: row_means(values) for name, values in self.per_output(weights).items()}


def _weighted_median(values: Floats, weights: Floats) -> Floats:
    """Returns the median [b] of values [N], each taken as often as its whole-numbered weight in [b, N] says."""
    order = np.argsort(values, kind="stable")
    reached = weights[:, order].cumsum(axis=1)
    total = reached[:, -1:]
    lower = (reached > (total - 1) // 2).argmax(axis=1)
    upper = (reached > total // 2).argmax(axis=1)
    return np.asarray((values[order][lower] + values[order][upper]) / 2.0)


@dataclass(frozen=True, kw_only=True)
class OutputResult:
    """How one of several outputs fared; R2 is None where its targets are all the same.

    The errors are in units of the target (`mse` in squared units).
    """

    label: str
    mse: float
    rmse: float
    mae: float
    median_absolute_error: float
    r2: float | None
    max_error: float

    def to_dict(self) -> dict[str, Any]:
        """Returns the row as JSON-ready data."""
        return dict(vars(self))


def output_results(errors: RegressionErrors, labels: tuple[str, ...]) -> tuple[OutputResult, ...]:
    """Builds the table of outputs.

    Args:
        errors: The predictions and targets.
        labels: k names of the outputs.

    Returns:
        One row per output.
    """
    values = {name: value[0] for name, value in errors.per_output(ones(len(errors.targets))).items()}
    largest = np.abs(errors.predicted - errors.targets).max(axis=0)
    return tuple(OutputResult(label=label, mse=float(values["mse"][i]), rmse=float(values["rmse"][i]),
                              mae=float(values["mae"][i]), r2=finite_or_none(values["r2"][i]),
                              median_absolute_error=float(values["median_absolute_error"][i]),
                              max_error=float(largest[i]))
                 for i, label in enumerate(labels))
