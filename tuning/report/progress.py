"""How a search went on: what each trial came to, and the best result so far by trial and by time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tuning.config import SearchConfig
from tuning.study.measures import beats, may_win
from tuning.study.pareto import measure_of
from tuning.trial import Trial

_PAUSE_SECONDS = 60.0  # a longer time without a trial is no part of the search


@dataclass(frozen=True, kw_only=True)
class Step:
    """One ended trial.

    Attributes:
        trial: Its id.
        status: How it ended.
        number: How many trials had ended, this one included.
        minutes: Time at which it ended, since the search began; pauses between two runs of the search are left out.
        epochs: Epochs that had been trained by all ended trials.
        value: Its result; None where it has none.
        best: The best result up to here among trials that met the constraints; None before the first.
    """

    trial: str
    status: str
    number: int
    minutes: float
    epochs: int
    value: float | None
    best: float | None

    def to_dict(self) -> dict[str, Any]:
        """Returns the step as JSON-ready data."""
        return asdict(self)


def number_or_none(value: float) -> float | None:
    """Returns the value, or None in place of one that is no finite number.

    Args:
        value: Any number.
    """
    return value if math.isfinite(value) else None


def trained_epochs(trial: Trial, trials: Mapping[str, Trial]) -> int:
    """Returns how many epochs a trial trained itself, without those of a parent whose training it took up.

    Args:
        trial: The trial.
        trials: All trials by id.
    """
    parent = trials.get(trial.parent)
    inherited = max((report.epoch for report in parent.history), default=0) if parent else 0
    return sum(report.epoch > inherited for report in trial.history)


def steps_of(trials: Mapping[str, Trial], config: SearchConfig) -> list[Step]:
    """Follows the best result through the trials that have ended, in the order in which they ended.

    Args:
        trials: The trials by id.
        config: The objective, and what a trial must meet to be the best.
    """
    objective = config.objectives[0]
    ended = sorted((trial for trial in trials.values() if trial.has_ended), key=lambda trial: (trial.ended or 0.0,
                                                                                               trial.id))
    clock, epochs = _WorkingTime(trials.values()), 0
    best: Trial | None = None
    steps: list[Step] = []
    for trial in ended:
        epochs += trained_epochs(trial, trials)
        if may_win(trial, config) and beats(trial, best, config):
            best = trial
        steps.append(Step(
            trial=trial.id, status=trial.status, number=len(steps) + 1, epochs=epochs,
            minutes=clock.seconds_until(trial.ended) / 60.0, value=number_or_none(measure_of(trial, objective)),
            best=best.measures[objective.name] if best else None))
    return steps


class _WorkingTime:
    """Seconds since the search began, without longer pauses: a night between two runs of a search does not count."""

    def __init__(self, trials: Iterable[Trial]) -> None:
        self._spans: list[tuple[float, float, float]] = []  # begin, end, seconds before
        begin, end, before = math.nan, -math.inf, 0.0
        for first, last in sorted((trial.started, trial.ended) for trial in trials
                                  if trial.started is not None and trial.ended is not None):
            if first > end + _PAUSE_SECONDS or math.isnan(begin):
                if math.isfinite(end):
                    self._spans.append((begin, end, before))
                    before += end - begin
                begin, end = first, last
            end = max(end, last)
        if math.isfinite(end):
            self._spans.append((begin, end, before))

    def seconds_until(self, moment: float | None) -> float:
        if moment is None:
            return 0.0
        passed = [(begin, end, before) for begin, end, before in self._spans if begin <= moment]
        return passed[-1][2] + min(moment, passed[-1][1]) - passed[-1][0] if passed else 0.0
