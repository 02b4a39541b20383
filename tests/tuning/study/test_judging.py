"""What the study makes of how an attempt says it ended."""

from __future__ import annotations

from typing import Any

from tuning.config import SearchConfig
from tuning.objectives import Constraint, Objective
from tuning.study.judging import judged
from tuning.trial import EpochReport, Trial, TrialOutcome

CONFIG = SearchConfig(model="mlp_binary", epochs=9, objectives=(Objective.parse("val_accuracy"),),
                      constraints=(Constraint.parse("val_accuracy>=0.9"), Constraint.parse("latency_ms<=5")))


def _judged(until: int | None, **measures: float) -> TrialOutcome:
    values: dict[str, Any] = {} if until is None else {"tuner/epochs": until}
    history = (EpochReport(epoch=1, values={"val_accuracy": measures["val_accuracy"]}),)
    return judged(Trial(id="0000", values=values, history=history),
                  TrialOutcome(status="completed", executions=(measures,)), CONFIG, asked_to_stop=False)


def test_a_whole_training_is_held_to_every_constraint() -> None:
    """What breaks a bound at the end is infeasible, and the outcome says which bound."""
    outcome = _judged(None, val_accuracy=0.8, latency_ms=1.0)
    assert outcome.status == "infeasible"
    assert "val_accuracy is 0.8, which does not meet val_accuracy>=0.9" in outcome.error
    assert _judged(9, val_accuracy=0.8, latency_ms=1.0).status == "infeasible"


def test_a_trial_that_rests_early_is_not_held_to_what_it_still_learns() -> None:
    """A lower rung of Hyperband may go on to a better accuracy, but not to a lower latency."""
    assert _judged(3, val_accuracy=0.8, latency_ms=1.0).status == "completed"
    assert _judged(3, val_accuracy=0.8, latency_ms=7.0).status == "infeasible"
