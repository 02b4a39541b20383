"""KerasTuner's Oracle service over a study, for workers that are scripts with a KerasTuner tuner in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
import keras_tuner
from keras_tuner.src import protos
from keras_tuner.src.engine.trial import Trial as TunerTrial

from tuning.executors.keras_tuner_desk import Desk
from tuning.executors.keras_tuner_service import Calls, Refused, idle
from tuning.folder import SearchFolder
from tuning.oracles.project_files import ProjectFiles
from tuning.study.study import Study
from tuning.trial import FailureKind, OutcomeStatus, TrialOutcome

_ENDS: Mapping[str, tuple[OutcomeStatus, FailureKind]] = {"COMPLETED": ("completed", ""),
                                                              "INVALID": ("failed", "crash"),
                                                              "FAILED": ("failed", "error")}


class OracleService(protos.get_service_grpc().OracleServicer):  # type: ignore[misc]
    """Answers `keras_tuner` tuners whose environment names the chief; their scripts stay as they are.

    Args:
        calls: Where calls wait for the chief's thread.
        desk: Gives trials and takes them back.
        study: The study.
    """

    def __init__(self, calls: Calls, desk: Desk, study: Study) -> None:
        self._calls = calls
        self._desk = desk
        self._study = study
        self._files = ProjectFiles(study.folder)
        self._measures: dict[str, dict[str, float]] = {}
        self.unaware: set[str] = set()
        """The workers that have asked for trials and were not told yet that the search is over."""

    def GetSpace(self, request: Any, context: Any) -> Any:
        """Returns the whole space."""
        return protos.get_service().GetSpaceResponse(hyperparameters=self._call(context, self._space).to_proto())

    def UpdateSpace(self, request: Any, context: Any) -> Any:
        """Takes nothing: the space was declared when the search began."""
        return protos.get_service().UpdateSpaceResponse()

    def CreateTrial(self, request: Any, context: Any) -> Any:
        """Returns the worker's next trial, or tells it to wait or to end."""
        trial = self._call(context, lambda: self._create(request.tuner_id))
        if trial.status == "IDLE":
            idle(context)
        return protos.get_service().CreateTrialResponse(trial=trial.to_proto())

    def UpdateTrial(self, request: Any, context: Any) -> Any:
        """Takes a trial's final measures, which KerasTuner's tuners send once, at its end."""
        measures = {name: float(value) for name, value in request.metrics.items()}
        self._call(context, lambda: self._measures.update({request.trial_id: measures}))
        trial = self._call(context, lambda: self._trial(request.trial_id))
        return protos.get_service().UpdateTrialResponse(trial=trial.to_proto())

    def EndTrial(self, request: Any, context: Any) -> Any:
        """Takes how a trial ended."""
        trial = TunerTrial.from_proto(request.trial)
        self._call(context, lambda: self._end(trial))
        return protos.get_service().EndTrialResponse()

    def GetTrial(self, request: Any, context: Any) -> Any:
        """Returns a trial."""
        trial = self._call(context, lambda: self._trial(request.trial_id))
        return protos.get_service().GetTrialResponse(trial=trial.to_proto())

    def GetBestTrials(self, request: Any, context: Any) -> Any:
        """Returns the best trials, as KerasTuner ranks them."""
        trials = self._call(context, lambda: best_trials(self._study.folder, request.num_trials,
                                                         self._study.config.objectives[0].direction))
        return protos.get_service().GetBestTrialsResponse(trials=[trial.to_proto() for trial in trials])

    def _call(self, context: Any, work: Any) -> Any:
        try:
            return self._calls.ask(work)
        except Refused as refused:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(refused))

    def _space(self) -> Any:
        state = self._files.read_oracle() or {}
        return keras_tuner.HyperParameters.from_config(state.get("hyperparameters", {"space": [], "values": {}}))

    def _create(self, worker: str) -> Any:
        self.unaware.add(worker)
        task = None if self._study.stopping else self._desk.ask(worker, None)
        if task is None:
            over = self._study.done or self._study.stopping
            if over:
                self.unaware.discard(worker)
            return TunerTrial(keras_tuner.HyperParameters(), trial_id="", status="STOPPED" if over else "IDLE")
        self._measures.pop(task.trial, None)
        return self._as_trial(task.trial, task.values, "RUNNING")

    def _end(self, trial: Any) -> None:
        name = trial.trial_id
        worker = self._desk.worker_of(name)
        if not worker or trial.status not in _ENDS:
            return
        status, kind = _ENDS[trial.status]
        measures = self._measures.pop(name, {})
        error = "" if status == "completed" else f"The worker {worker} says {trial.status}; its own output says why."
        self._desk.tell(worker, name, TrialOutcome(status=status, kind=kind, error=error,
                                                   executions=(measures,) if measures else ()))

    def _trial(self, name: str) -> Any:
        known = self._study.trials.get(name)
        if known is None:
            raise Refused(f"There is no trial {name!r}.")
        trial = self._as_trial(name, known.values, "COMPLETED" if known.status == "completed" else "RUNNING")
        for metric, value in (known.measures or self._measures.get(name, {})).items():
            trial.metrics.update(metric, value)
        return trial

    def _as_trial(self, name: str, values: Mapping[str, Any], status: str) -> Any:
        hyperparameters = self._space()
        hyperparameters.values = dict(values)
        return TunerTrial(hyperparameters, trial_id=name, status=status)


def best_trials(folder: SearchFolder, count: int, direction: str) -> list[Any]:
    """Returns the best completed trials from KerasTuner's files.

    Args:
        folder: The search's folder.
        count: How many at most.
        direction: "min" or "max".
    """
    files = ProjectFiles(folder)
    states = [state for name in files.trial_names() if (state := files.read_trial(name)) is not None]
    completed = [state for state in states if state.get("status") == "COMPLETED"]
    completed.sort(key=lambda state: float(state["score"]), reverse=direction == "max")
    return [TunerTrial.from_state(state) for state in completed[:count]]
