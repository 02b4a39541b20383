"""A trial of a registered model: an ordinary run of `zoo train`, in a run folder of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuning.config import SearchConfig
from tuning.programs.continuation import take_up
from tuning.programs.measuring import ConstraintBroken, Measurer
from tuning.programs.protocol import TrialContext
from tuning.programs.summary import Executions, infeasible, require_objectives
from tuning.spaces.space import SearchSpace
from tuning.trial import EpochReport, TrialOutcome
from zoo.data_source import DataSource
from zoo.errors import ArgumentError
from zoo.registry import default_registry
from zoo.runs import RunResult, train
from zoo.training import EpochEnded, TrainingConfig
from zoo.training.config import MONITORS

# What the history of a training holds besides measures.
_NO_MEASURES = ("epoch", "learning_rate")
_MONITORS = (*MONITORS, *(f"val_{name}" for name in MONITORS))


class ZooProgram:
    """Trains a registered model with a trial's hyperparameters.

    Args:
        config: What is searched.
    """

    def __init__(self, config: SearchConfig) -> None:
        if config.data is None:
            raise ArgumentError(f"A search for {config.model} needs examples: give `data`.")
        self._config = config
        self._data: DataSource = config.data
        self._space = SearchSpace.from_dict(config.space)

    def run(self, context: TrialContext) -> TrialOutcome:
        """Runs an attempt; see `Program`."""
        done = Executions(self._config, context.task)
        measurer = Measurer(self._config, context.folder, context.quiet)
        try:
            for execution in range(context.task.executions):
                self._execute(context, execution, measurer, done)
                if done.ended:
                    break
        except ConstraintBroken as broken:
            return infeasible(self._config, broken.measures, [broken.measures])
        return done.outcome()

    def _execute(self, context: TrialContext, execution: int, measurer: Measurer, done: Executions) -> None:
        task = context.task
        build, training, data = self._space.split(task.values)
        folder = context.folder.execution(task.trial, execution)
        taken = take_up(context.folder, task, execution)
        watch = _Watch(self._config, context, execution, inherited=taken.epochs, elsewhere=measurer.names)
        measured: dict[str, float] = {}
        result = train(self._config.model, dataclasses.replace(self._data, **data), folder,
                       self._training(task.epochs, taken.seed, training), build={**self._config.build, **build},
                       pause=watch, built=lambda model: measured.update(measurer.before(model)),
                       notes={"search": self._note(context)})
        watch.catch_up(result)
        measured |= measurer.after(result.model)
        done.add({**measured, **_measures(result.report.final)}, stopped=watch.stopped)

    def _training(self, epochs: int, seed: int, chosen: Mapping[str, Any]) -> TrainingConfig:
        spec, _ = default_registry().resolve(self._config.model)
        given = {**self._config.training, **chosen, "epochs": epochs, "seed": seed}
        wanted = next((o.name for o in self._config.objectives if o.name in _MONITORS), None)
        if wanted is not None:
            given.setdefault("monitor", wanted)
        return TrainingConfig.for_spec(spec.training, **given)

    def _note(self, context: TrialContext) -> dict[str, Any]:
        values = {name: value for name, value in context.task.values.items() if not name.startswith("tuner/")}
        return {"folder": Path(context.folder.path).name, "trial": context.task.trial, "values": values,
                "objectives": [str(objective) for objective in self._config.objectives],
                "constraints": [str(constraint) for constraint in self._config.constraints],
                "oracle": self._config.oracle, "seed": self._config.seed}


class _Watch:
    """Tells the study each saved epoch, and pauses the training where the study or the task wants it."""

    def __init__(self, config: SearchConfig, context: TrialContext, execution: int, *, inherited: int,
                 elsewhere: Sequence[str]) -> None:
        self.stopped = False
        self._elsewhere = elsewhere
        self._config = config
        self._context = context
        self._execution = execution
        self._told = inherited

    def __call__(self, event: EpochEnded) -> bool:
        require_objectives(self._config, _measures(event.logs), self._elsewhere)  # rather than after hours
        if event.epoch > self._told and not self._tell(event.epoch, _measures(event.logs), event.seconds):
            self.stopped = event.epoch < self._context.task.until_epoch
        return self.stopped or event.epoch >= self._context.task.until_epoch

    def catch_up(self, result: RunResult) -> None:
        """Tells the epochs of a training that was finished before: its last one may not have arrived."""
        for row, seconds in zip(result.report.history, result.report.seconds, strict=True):
            if row["epoch"] > self._told:
                self._tell(int(row["epoch"]), _measures(row), seconds)

    def _tell(self, epoch: int, measures: Mapping[str, float], seconds: float) -> bool:
        self._told = epoch
        return self._context.report(EpochReport(epoch=epoch, values=measures, execution=self._execution,
                                                seconds=seconds))


def _measures(row: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name not in _NO_MEASURES}
