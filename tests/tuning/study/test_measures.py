"""Means, spreads, best epochs and winners, against what can be worked out by hand."""

from __future__ import annotations

import math

import pytest

from tests.tuning.study.parts import configuration
from tuning.objectives import Constraint, Objective
from tuning.study.measures import best_epochs, best_trial, may_win, mean_and_spread
from tuning.trial import EpochReport, Trial

LOSS, ACCURACY = Objective.parse("val_loss"), Objective.parse("val_accuracy")


def trial(number: int, status: str = "completed", **measures: float) -> Trial:
    return Trial(id=f"{number:04d}", values={}, status=status, measures=measures)  # type: ignore[arg-type]


def test_mean_and_spread() -> None:
    """The mean over those executions that have a measure; a spread from two on; what is no number stays none."""
    mean, spread = mean_and_spread([{"a": 1.0, "b": 5.0}, {"a": 3.0, "c": math.nan}, {"c": 1.0}])
    assert {name: mean[name] for name in "ab"} == {"a": 2.0, "b": 5.0} and math.isnan(mean["c"])
    assert spread["a"] == pytest.approx(math.sqrt(2.0)) and "b" not in spread and math.isnan(spread["c"])
    assert mean_and_spread([]) == ({}, {})


def test_best_epochs() -> None:
    """Each execution counts with its best epoch, the earlier of equal ones, in the objective's own direction."""
    history = [EpochReport(epoch=epoch, execution=execution, values={"val_loss": loss, "val_accuracy": 1 - loss})
               for execution, losses in ((1, [0.5, 0.25, 0.75]), (0, [math.nan, 0.5, 0.5]))
               for epoch, loss in enumerate(losses, 1)]
    assert [values["val_loss"] for values in best_epochs(history, LOSS)] == [0.5, 0.25]
    assert best_epochs(history, LOSS)[0] is history[4].values
    assert [values["val_loss"] for values in best_epochs(history, ACCURACY)] == [0.5, 0.25]
    assert best_epochs(history, Objective.parse("latency_ms"))[0] is history[5].values


def test_who_may_win() -> None:
    """A winner has ended well, has every objective as a number and meets the constraints, measured or not."""
    config = configuration(objectives=(LOSS, Objective.parse("size_mb")), constraints=(Constraint.parse("size_mb<=9"),))
    assert may_win(trial(1, val_loss=1.0, size_mb=9.0), config)
    assert may_win(trial(1, "stopped", val_loss=1.0, size_mb=9.0), config)
    for other in (trial(1, "running", val_loss=1.0, size_mb=9.0), trial(1, "failed", val_loss=1.0, size_mb=9.0),
                  trial(1, "infeasible", val_loss=1.0, size_mb=9.0), trial(1, val_loss=math.nan, size_mb=9.0),
                  trial(1, val_loss=1.0), trial(1, val_loss=1.0, size_mb=9.1), trial(1)):
        assert not may_win(other, config)


def test_the_best_trial() -> None:
    """The first objective decides, the second where the first is equal, the smaller number where both are."""
    config = configuration(objectives=(ACCURACY, LOSS))
    trials = [trial(0, val_accuracy=0.8, val_loss=0.1), trial(1, val_accuracy=0.9, val_loss=0.5),
              trial(2, val_accuracy=0.9, val_loss=0.4), trial(3, val_accuracy=0.9, val_loss=0.4),
              trial(4, "failed", val_accuracy=1.0, val_loss=0.0)]
    assert best_trial(trials, config) is trials[2]
    assert best_trial(reversed(trials), config) is trials[2]
    assert best_trial([], config) is None
    many = [trial(9_999, val_accuracy=1.0, val_loss=0.0), trial(10_000, val_accuracy=1.0, val_loss=0.0)]
    assert best_trial(reversed(many), config) is many[0]
