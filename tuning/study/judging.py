"""What the study makes of how an attempt says it ended: constraints, objectives without a value, a wish to stop."""

from __future__ import annotations

import dataclasses

from tuning.config import SearchConfig
from tuning.objectives import Constraint, unmet
from tuning.study.measures import best_epochs, mean_and_spread
from tuning.trial import Trial, TrialOutcome

TRIED_AGAIN = ("memory", "crash", "timeout", "lost")
"""Kinds of failure that another attempt may not have."""


def judged(trial: Trial, outcome: TrialOutcome, config: SearchConfig, *, asked_to_stop: bool) -> TrialOutcome:
    """Returns an outcome as the study records it.

    Args:
        trial: The trial with its history.
        outcome: What the engine told.
        config: Objectives and constraints.
        asked_to_stop: Whether the trial was told to stop because the search is to stop.

    Returns:
        The outcome. A trial that stopped because the search stops is interrupted; one that gave no measures of its
        own has those of its best epochs; one that completed is infeasible if it breaks a constraint, and has failed
        if it lacks an objective.
    """
    if outcome.status in ("failed", "interrupted"):
        return outcome
    if outcome.status == "stopped" and asked_to_stop:
        return dataclasses.replace(outcome, status="interrupted")
    if not outcome.executions:
        outcome = dataclasses.replace(outcome, executions=best_epochs(trial.history, config.objectives[0]))
    if outcome.status != "completed":
        return outcome
    measures, _ = mean_and_spread(outcome.executions)
    broken = unmet(_binding(trial, config), measures)
    if broken:
        words = "; ".join(f"{c.name} is {measures[c.name]:.6g}, which does not meet {c}" for c in broken)
        return dataclasses.replace(outcome, status="infeasible", error=outcome.error or words)
    missing = [objective.name for objective in config.objectives if objective.name not in measures]
    if missing:
        given = ", ".join(sorted(measures)) or "none"
        return dataclasses.replace(outcome, status="failed", kind="error", error=(
            f"The trial ended without a value of the objective {', '.join(missing)}. It has: {given}. Name one of "
            "these as the objective, or give validation data."))
    return outcome


def _binding(trial: Trial, config: SearchConfig) -> tuple[Constraint, ...]:
    """The constraints that a trial is held to: where it rests early (Hyperband), not those on what it still learns."""
    if int(trial.values.get("tuner/epochs", config.epochs)) >= config.epochs:
        return config.constraints
    learned = {name for report in trial.history for name in report.values}
    return tuple(constraint for constraint in config.constraints if constraint.name not in learned)
