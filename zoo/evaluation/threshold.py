"""From which probability on a binary classifier should say yes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from zoo.errors import ArgumentError, DataError
from zoo.evaluation.measurement import Floats, Integers, ratio
from zoo.evaluation.predictions import EvaluationSplit, Progress, predict

ThresholdRule = Literal["f1", "youden", "precision", "recall"]


@dataclass(frozen=True, kw_only=True)
class ThresholdChoice:
    """A threshold and what it gave on the examples that it was chosen on.

    Attributes:
        rule: What was wanted: "f1", "youden", "precision" or "recall".
        minimum: The demanded precision or recall; None for the other rules.
        threshold: Probability in [0, 1] from which on the answer is the second label.
        precision: Of those called positive, the share that is.
        recall: Of the positive, the share that was found.
        specificity: Of the negative, the share that was left alone.
        f1: Harmonic mean of precision and recall.
    """

    rule: str
    minimum: float | None
    threshold: float
    precision: float
    recall: float
    specificity: float
    f1: float

    def to_dict(self) -> dict[str, Any]:
        """Returns the choice as JSON-ready data."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Every threshold that decides differently, from low to high, and what it gives; each [m]."""

    threshold: Floats
    precision: Floats
    recall: Floats
    specificity: Floats
    f1: Floats


def choose_threshold(targets: Integers, probabilities: NDArray[np.floating], *, rule: ThresholdRule = "f1",
                     minimum: float | None = None) -> ThresholdChoice:
    """Chooses the threshold of a binary classifier.

    Choose on validation data: a threshold looks better than it is on the examples that it was chosen on.

    Args:
        targets: 0 or 1, [N].
        probabilities: Probability of class 1 in [0, 1], [N] or [N, 1].
        rule: "f1" maximises F1; "youden" maximises recall + specificity - 1; "precision" maximises recall where the
            precision is at least `minimum`; "recall" maximises precision where the recall is at least `minimum`.
        minimum: Demanded precision or recall in (0, 1], for the last two rules alone.

    Returns:
        The threshold, to be stored as `ModelRecord.threshold`, and what it gives. Of equally good ones the one
        nearest to 0.5 is taken.

    Raises:
        ArgumentError: An unknown rule, or a minimum that is missing, out of range or not meant for the rule.
        DataError: Only one class in the targets, or a minimum that no threshold reaches.
    """
    _check_rule(rule, minimum)
    candidates = _candidates(np.asarray(targets), np.asarray(probabilities, dtype=np.float32).reshape(-1))
    value, allowed = _objective(candidates, rule, minimum)
    if not allowed.any():
        reached = float(getattr(candidates, rule).max())
        raise DataError(f"No threshold reaches a {rule} of {minimum}; the best that this model reaches on these "
                        f"{len(targets)} examples is {reached:.4g}. Demand less or improve the model.")
    best = np.flatnonzero(allowed & (value >= value[allowed].max()))
    chosen = best[np.abs(candidates.threshold[best] - 0.5).argmin()]
    return ThresholdChoice(rule=rule, minimum=minimum,
                           **{name: float(column[chosen]) for name, column in vars(candidates).items()})


def find_threshold(model: Any, split: EvaluationSplit | None, *, rule: ThresholdRule = "f1",
                   minimum: float | None = None, batch_size: int = 32,
                   progress: Progress | None = None) -> ThresholdChoice:
    """Runs a binary classifier over a (validation) split and chooses its threshold.

    Args:
        model: A keras.Model with one sigmoid output [N, 1].
        split: Examples that the test does not use.
        rule: As in `choose_threshold`.
        minimum: As in `choose_threshold`.
        batch_size: Examples per step.
        progress: Called after every batch.

    Returns:
        As `choose_threshold`.

    Raises:
        ArgumentError: As `choose_threshold`, or a model that is no binary classifier.
        DataError: As `choose_threshold`, or a split that cannot be evaluated.
    """
    _check_rule(rule, minimum)
    said = predict(model, split, task="binary_classification", batch_size=batch_size, progress=progress)
    return choose_threshold(said.targets.astype(np.int64), said.outputs, rule=rule, minimum=minimum)


def _check_rule(rule: str, minimum: float | None) -> None:
    if rule not in get_args(ThresholdRule):
        raise ArgumentError(f"`rule` must be one of {', '.join(get_args(ThresholdRule))}. Received: {rule!r}")
    if rule in ("precision", "recall") and (minimum is None or not 0.0 < minimum <= 1.0):
        raise ArgumentError(f"The rule {rule!r} needs a `minimum` in (0, 1]. Received: {minimum}")
    if rule in ("f1", "youden") and minimum is not None:
        raise ArgumentError(f"The rule {rule!r} takes no `minimum`. Received: {minimum}")


def _candidates(targets: Integers, probabilities: NDArray[np.float32]) -> _Candidates:
    scores, place = np.unique(probabilities, return_inverse=True)
    positive = np.bincount(place, weights=targets == 1, minlength=len(scores))
    negative = np.bincount(place, weights=targets != 1, minlength=len(scores))
    # At candidate i everything from score i upwards is called positive.
    hits, alarms = positive[::-1].cumsum()[::-1], negative[::-1].cumsum()[::-1]
    positives, negatives = hits[0], alarms[0]
    if positives == 0 or negatives == 0:
        raise DataError(f"A threshold can only be chosen on examples of both classes. Received {int(positives)} "
                        f"positive and {int(negatives)} negative ones.")
    return _Candidates(threshold=_between(scores), precision=ratio(hits, hits + alarms), recall=hits / positives,
                       specificity=1.0 - alarms / negatives, f1=2.0 * hits / (positives + hits + alarms))


def _between(scores: NDArray[np.float32]) -> Floats:
    """Puts each threshold half-way to the next lower score: scores that differ by rounding decide the same."""
    lower = np.concatenate([[np.float32(0.0)], scores[:-1]])
    middle = ((lower.astype(np.float64) + scores) / 2.0).astype(np.float32)
    return np.where(middle > lower, middle, scores).astype(np.float64)


def _objective(found: _Candidates, rule: str, minimum: float | None) -> tuple[Floats, NDArray[np.bool_]]:
    """Returns what to maximise [m] and where that is allowed [m]."""
    anywhere = np.ones(len(found.threshold), dtype=np.bool_)
    if rule == "f1":
        return found.f1, anywhere
    if rule == "youden":
        return found.recall + found.specificity, anywhere
    if rule == "precision":
        return found.recall, found.precision >= (minimum or 0.0)
    return found.precision, found.recall >= (minimum or 0.0)
