"""How a search went on."""

from __future__ import annotations

import pytest

from tuning.objectives import Constraint, Objective
from tuning.report.progress import progress_of
from tuning.trial import EpochReport, Trial

ACCURACY = Objective(name="val_accuracy", direction="max")


def ended(name: str, started: float, end: float, status: str = "completed", **measures: float) -> Trial:
    return Trial(id=name, values={}, status=status, measures=measures,  # type: ignore[arg-type]
                 history=(EpochReport(epoch=1, values={}),), started=started, ended=end)


def test_the_best_follows_the_order_in_which_trials_ended() -> None:
    """A trial that began first but ended last counts last."""
    steps = progress_of([ended("0000", 0, 90, val_accuracy=0.9), ended("0001", 0, 30, val_accuracy=0.5),
                         ended("0002", 30, 60, val_accuracy=0.4)], ACCURACY)
    assert [(step.trial, step.number, step.best) for step in steps] == [("0001", 1, 0.5), ("0002", 2, 0.5),
                                                                        ("0000", 3, 0.9)]
    assert [step.minutes for step in steps] == pytest.approx([0.5, 1.0, 1.5])
    assert [step.epochs for step in steps] == [1, 2, 3]


def test_what_breaks_a_constraint_or_failed_is_never_the_best() -> None:
    """Its value is shown and the best stays; a trial without a result has no value."""
    steps = progress_of([ended("0000", 0, 10, val_accuracy=0.5, latency_ms=1), ended("0001", 10, 20, "failed"),
                         ended("0002", 20, 30, val_accuracy=0.9, latency_ms=9),
                         ended("0003", 30, 40, "infeasible", val_accuracy=0.8, latency_ms=1)], ACCURACY,
                        [Constraint.parse("latency_ms<=5")])
    assert [step.best for step in steps] == [0.5] * 4
    assert [step.value for step in steps] == [0.5, None, 0.9, 0.8]


def test_a_night_between_two_runs_does_not_count() -> None:
    """A short pause between trials is part of the search, a long one is not."""
    steps = progress_of([ended("0000", 1000, 1060, val_accuracy=1), ended("0001", 1070, 1120, val_accuracy=1),
                         ended("0002", 50_000, 50_060, val_accuracy=1)], ACCURACY)
    assert [60 * step.minutes for step in steps] == pytest.approx([60, 120, 180])


def test_a_stopped_trial_counts_with_its_best_epoch() -> None:
    """Where there is no final measure the best epoch stands for it; a running trial is no step."""
    history = tuple(EpochReport(epoch=i, values={"val_accuracy": value}) for i, value in enumerate((0.2, 0.7, 0.6), 1))
    stopped = Trial(id="0000", values={}, status="stopped", history=history, started=0, ended=1)
    steps = progress_of([stopped, Trial(id="0001", values={}, history=history, started=0)], ACCURACY)
    assert [(step.value, step.best) for step in steps] == [(0.7, 0.7)]
