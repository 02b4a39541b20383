"""What KerasTuner's oracle keeps of each trial, and the losses that it is judged by here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras_tuner
from keras_tuner.src.engine.metrics_tracking import MetricsTracker
from keras_tuner.src.engine.trial import Trial as TunerTrial

from tuning.objectives import Objective, direction_of
from tuning.study.pareto import losses_of, measure_of
from tuning.trial import Trial

# KerasTuner's name of the sum that it makes of several objectives; it is written for its readers, nothing here uses it.
_SUM = "multi_objective"


class Records:
    """The trials of one oracle.

    Args:
        oracle: KerasTuner's oracle; its trials, orders and hashes are kept here.
        objectives: What the search is for.
    """

    def __init__(self, oracle: Any, objectives: Sequence[Objective]) -> None:
        self._oracle = oracle
        self._objectives = tuple(objectives)
        self.losses: dict[str, tuple[float, ...] | None] = {}
        """For each trial that has ended one loss per objective; None for one that failed or broke a constraint."""

    @property
    def running(self) -> bool:
        """Whether a trial has begun and not ended."""
        return bool(self._oracle.ongoing_trials)

    def trial(self, trial: str) -> Any:
        """Returns KerasTuner's trial.

        Args:
            trial: Its id.
        """
        return self._oracle.trials[trial]

    def free_id(self) -> str:
        """Returns the next trial's id, as KerasTuner writes it in a search without a bound."""
        number = len(self._oracle.trials)
        while f"{number:04d}" in self._oracle.trials:
            number += 1
        return f"{number:04d}"

    def begin(self, trial: str, values: Mapping[str, Any]) -> Any:
        """Records that a trial has begun.

        Args:
            trial: Its id.
            values: The active hyperparameters, with the oracle's own.

        Returns:
            KerasTuner's trial.
        """
        oracle = self._oracle
        record = TunerTrial(hyperparameters=_valued(oracle.hyperparameters, values), trial_id=trial)
        oracle._record_values(record)
        oracle.trials[trial] = record
        oracle.ongoing_trials[trial] = record
        oracle.start_order.append(trial)
        return record

    def end(self, trial: Trial) -> Any:
        """Records what came of a trial.

        Args:
            trial: A trial that has ended.

        Returns:
            KerasTuner's trial.
        """
        record = self.trial(trial.id)
        losses = losses_of(trial, self._objectives)
        counts = trial.status in ("completed", "stopped")
        missing = [objective.name for objective in self._objectives if math.isnan(measure_of(trial, objective))]
        self.losses[trial.id] = losses if counts and not missing else None
        record.status = "COMPLETED" if counts and not missing else "FAILED"
        record.message = trial.error or None
        if counts and missing:
            record.message = trial.error or f"No number was measured for {', '.join(missing)}."
        self._measure(record, trial)
        self._oracle.ongoing_trials.pop(trial.id, None)
        self._oracle.end_order.append(trial.id)
        self._oracle._run_times[trial.id] = max(1, trial.attempts)
        return record

    def _measure(self, record: Any, trial: Trial) -> None:
        directions = {objective.name: objective.direction for objective in self._objectives}
        reached = {objective.name: measure_of(trial, objective) for objective in self._objectives}
        step = _best_step(trial, self._objectives[0])
        record.metrics = MetricsTracker()
        for name in dict.fromkeys([*trial.measures, *(n for n, value in reached.items() if not math.isnan(value))]):
            record.metrics.register(name, direction=directions.get(name, direction_of(name)))
            each = [execution[name] for execution in trial.executions if name in execution]
            for value in each or [trial.measures.get(name, reached.get(name, math.nan))]:
                if not math.isnan(value):
                    record.metrics.metrics[name].update(float(value), step=step)
        if record.status != "COMPLETED":
            return
        score = reached[self._objectives[0].name]
        if len(self._objectives) > 1:
            score = sum(objective.loss(reached[objective.name]) for objective in self._objectives)
            record.metrics.register(_SUM, direction="min")
            record.metrics.metrics[_SUM].update(float(score), step=step)
        record.score = float(score)
        record.best_step = step


def _valued(space: Any, values: Mapping[str, Any]) -> Any:
    # All trials share the space, which is the greater part of KerasTuner's HyperParameters.
    found = keras_tuner.HyperParameters()
    found._hps = space._hps
    found._space = space._space
    found.values = dict(values)
    for hp in found.space:
        if hp.name not in found.values and found.is_active(hp):
            found.values[hp.name] = hp.default
    return found


def _best_step(trial: Trial, objective: Objective) -> int:
    # KerasTuner counts epochs from 0.
    best, step = math.nan, 0
    for report in trial.history:
        value = float(report.values.get(objective.name, math.nan))
        if objective.better(value, best):
            best, step = value, report.epoch - 1
    return max(0, step)
