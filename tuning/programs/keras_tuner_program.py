"""A trial of a KerasTuner hypermodel: its own `build` and `fit`, with every epoch saved and told."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import keras

from tuning.config import SearchConfig
from tuning.errors import SearchError
from tuning.programs.epoch_keeper import EpochKeeper
from tuning.programs.execution_files import ExecutionFiles
from tuning.programs.fitting import fit
from tuning.programs.hypermodels import bound, build_model, load_hypermodel
from tuning.programs.measuring import ConstraintBroken, Measurer
from tuning.programs.protocol import TrialContext
from tuning.programs.recording import recorded, save_recorded
from tuning.programs.summary import Executions, infeasible
from tuning.programs.user_code import load_data
from tuning.trial import EpochReport, TrialOutcome


class KerasTunerProgram:
    """Builds and fits a hypermodel with a trial's hyperparameters.

    Args:
        config: What is searched.
    """

    def __init__(self, config: SearchConfig) -> None:
        self._config = config

    def run(self, context: TrialContext) -> TrialOutcome:
        """Runs an attempt; see `Program`."""
        hypermodel, data = load_hypermodel(self._config.hypermodel), load_data(self._config.data_function)
        done = Executions(self._config, context.task)
        best: float | None = None
        try:
            for execution in range(context.task.executions):
                run = _Execution(self._config, context, execution, best)
                done.add(run.measures_of(hypermodel, data), stopped=run.keeper.stopped)
                best = run.keeper.best
                if done.ended:
                    break
        except ConstraintBroken as broken:
            return infeasible(self._config, broken.measures, [broken.measures])
        return done.outcome()


class _Execution:
    """One execution of a trial."""

    def __init__(self, config: SearchConfig, context: TrialContext, number: int, best: float | None) -> None:
        task = context.task
        self._config = config
        self._context = context
        self._number = number
        self._folder = context.folder.execution(task.trial, number)
        files = ExecutionFiles(self._folder)
        parent = ExecutionFiles(context.folder.execution(task.parent, number))
        self._inherited = files.take_up(parent) if task.parent else 0
        self.keeper = EpochKeeper(files, config.objectives[0], best=best, tell=self._tell,
                                  until_epoch=task.until_epoch if task.until_epoch < task.epochs else None)

    def measures_of(self, hypermodel: Any, data: Mapping[str, Any]) -> dict[str, float]:
        """Builds, fits and measures."""
        task = self._context.task
        keras.backend.clear_session(free_memory=self._number > 0)  # a new process has none to free, and looks long
        keras.utils.set_random_seed((task.seed + self._number) % 2**32)
        hp = bound(task.values)
        model = build_model(hypermodel, hp)
        measurer = Measurer(self._config, self._context.folder, self._context.quiet)
        measured = measurer.before(recorded(model)) if measurer.names and model.built else {}
        for epoch, row in enumerate(self.keeper.rows, start=1):
            self.keeper.stopped = not self._tell(epoch, row, 0.0)  # the last one may not have arrived
        result = None
        if not self.keeper.stopped:
            result = fit(hypermodel, hp, model, data, epochs=task.epochs, callbacks=[self.keeper])
        self.keeper.finish(model)
        save_recorded(model, self._folder)
        if measurer.names:
            measured |= {**measurer.before(recorded(model)), **measurer.after(model)}
        return {**measured, **_measures(result, self.keeper, self._config.objectives[0].name)}

    def _tell(self, epoch: int, row: Mapping[str, float], seconds: float) -> bool:
        if epoch <= self._inherited:
            return True
        return self._context.report(EpochReport(epoch=epoch, values=row, execution=self._number, seconds=seconds))


def _measures(result: Any, keeper: EpochKeeper, objective: str) -> dict[str, float]:
    """Returns what `fit` measured, as KerasTuner reads its result."""
    if isinstance(result, list | tuple) and result:
        each = [_measures(one, keeper, objective) for one in result]
        return {name: statistics.fmean(row[name] for row in each) for name in each[0]
                if all(name in row for row in each)}
    if isinstance(result, Mapping):
        return {str(name): float(value) for name, value in result.items()}
    if isinstance(result, keras.callbacks.History) or (result is None and keeper.rows):
        return keeper.best_row()
    try:
        return {**keeper.best_row(), objective: float(result)}
    except (TypeError, ValueError):
        raise SearchError("HyperModel.fit must return what model.fit returned, a dict of measures or a number. It "
                          f"returned {type(result).__name__}.") from None
