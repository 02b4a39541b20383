"""Measures of a trial: their mean and spread over the executions, and which trial is the best by them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from tuning.config import SearchConfig
from tuning.objectives import Objective, unmet
from tuning.trial import EpochReport, Trial

Measures = Mapping[str, float]


def mean_and_spread(executions: Sequence[Measures]) -> tuple[dict[str, float], dict[str, float]]:
    """Averages measures over executions.

    Args:
        executions: The final measures of each; a name may be missing in some.

    Returns:
        The mean of each measure over the executions that have it, and the standard deviation (n - 1) of each that at
        least two have.
    """
    names = dict.fromkeys(name for values in executions for name in values)
    columns = {name: [float(values[name]) for values in executions if name in values] for name in names}
    return ({name: _mean(column) for name, column in columns.items()},
            {name: _deviation(column) for name, column in columns.items() if len(column) > 1})


def _mean(column: Sequence[float]) -> float:
    return math.fsum(column) / len(column) if all(map(math.isfinite, column)) else sum(column) / len(column)


def _deviation(column: Sequence[float]) -> float:
    return statistics.stdev(column) if all(map(math.isfinite, column)) else math.nan


def best_epochs(history: Iterable[EpochReport], objective: Objective) -> tuple[Measures, ...]:
    """Returns for each execution the measures of its best epoch, the earliest of equal ones.

    Args:
        history: Reported epochs.
        objective: What they are judged by; where no epoch has it, the last epoch stands.
    """
    best: dict[int, Measures] = {}
    for report in history:
        known = best.get(report.execution)
        if (known is None or objective.name not in known
                or (objective.name in report.values
                    and objective.better(report.values[objective.name], known[objective.name]))):
            best[report.execution] = report.values
    return tuple(best[execution] for execution in sorted(best))


def may_win(trial: Trial, config: SearchConfig) -> bool:
    """Tells whether a trial can be the best: it ended well, has all objectives as numbers, and meets the constraints.

    Args:
        trial: Any trial.
        config: Objectives and constraints.
    """
    return (trial.status in ("completed", "stopped")
            and all(math.isfinite(trial.measures.get(o.name, math.nan)) for o in config.objectives)
            and not unmet(config.constraints, trial.measures))


def beats(first: Trial, second: Trial | None, config: SearchConfig) -> bool:
    """Tells whether `first`, which may win, is better than the best so far.

    Args:
        first: A trial for which `may_win` holds.
        second: Another, or None.
        config: The objectives; the first decides, the later ones where all before are equal; of trials that are
            equal in all the one with the smaller number is better, so that the order of endings decides nothing.
    """
    if second is None:
        return True
    keys = [([o.loss(trial.measures[o.name]) for o in config.objectives], len(trial.id), trial.id)
            for trial in (first, second)]
    return keys[0] < keys[1]


def best_trial(trials: Iterable[Trial], config: SearchConfig) -> Trial | None:
    """Returns the best trial by the first objective, or None if none may win.

    Args:
        trials: Trials, in any order.
        config: Objectives and constraints.
    """
    best: Trial | None = None
    for trial in trials:
        if may_win(trial, config) and beats(trial, best, config):
            best = trial
    return best
