"""How a search went on."""

from __future__ import annotations

import pytest

from tuning.config import SearchConfig
from tuning.report.progress import Step, steps_of, trained_epochs
from tuning.trial import EpochReport, Trial

CONFIG = SearchConfig.from_dict({"model": "mlp", "objectives": ["val_accuracy"], "constraints": ["latency_ms<=5"]})


def steps(*trials: Trial) -> list[Step]:
    return steps_of({trial.id: trial for trial in trials}, CONFIG)


def ended(name: str, started: float, end: float, status: str = "completed", **measures: float) -> Trial:
    return Trial(id=name, values={}, status=status, measures=measures,  # type: ignore[arg-type]
                 history=(EpochReport(epoch=1, values={}),), started=started, ended=end)


def test_the_best_follows_the_order_in_which_trials_ended() -> None:
    """A trial that began first but ended last counts last."""
    found = steps(ended("0000", 0, 90, val_accuracy=0.9), ended("0001", 0, 30, val_accuracy=0.5),
                  ended("0002", 30, 60, val_accuracy=0.4))
    assert [(step.trial, step.number, step.best) for step in found] == [("0001", 1, 0.5), ("0002", 2, 0.5),
                                                                        ("0000", 3, 0.9)]
    assert [step.minutes for step in found] == pytest.approx([0.5, 1.0, 1.5])
    assert [step.epochs for step in found] == [1, 2, 3]


def test_what_breaks_a_constraint_or_failed_is_never_the_best() -> None:
    """Its value is shown and the best stays; a trial without a result has no value."""
    found = steps(ended("0000", 0, 10, val_accuracy=0.5, latency_ms=1), ended("0001", 10, 20, "failed"),
                  ended("0002", 20, 30, val_accuracy=0.9, latency_ms=9),
                  ended("0003", 30, 40, "infeasible", val_accuracy=0.8, latency_ms=1))
    assert [step.best for step in found] == [0.5] * 4
    assert [step.value for step in found] == [0.5, None, 0.9, 0.8]


def test_a_night_between_two_runs_does_not_count() -> None:
    """A short pause between trials is part of the search, a long one is not."""
    found = steps(ended("0000", 1000, 1060, val_accuracy=1), ended("0001", 1070, 1120, val_accuracy=1),
                  ended("0002", 50_000, 50_060, val_accuracy=1))
    assert [60 * step.minutes for step in found] == pytest.approx([60, 120, 180])


def test_a_trial_without_a_final_measure_shows_its_best_epoch() -> None:
    """A failed trial's value is that of its best epoch, and it is never the best; a running trial is no step."""
    failed = Trial(id="0000", values={}, status="failed", history=history(0.2, 0.7, 0.6), started=0, ended=1)
    found = steps(failed, Trial(id="0001", values={}, history=history(0.2), started=0))
    assert [(step.value, step.best) for step in found] == [(0.7, None)]


def test_epochs_of_a_training_that_was_taken_up_count_once() -> None:
    """Hyperband's next rung reports its parent's epochs again; only those after them are its own."""
    parent = Trial(id="0000", values={}, history=history(0.1, 0.2))
    child = Trial(id="0001", values={}, history=history(0.1, 0.2, 0.3, 0.4, 0.5), parent="0000")
    known = {"0000": parent, "0001": child}
    assert [trained_epochs(trial, known) for trial in known.values()] == [2, 3]


def history(*values: float) -> tuple[EpochReport, ...]:
    return tuple(EpochReport(epoch=i, values={"val_accuracy": value}) for i, value in enumerate(values, 1))
