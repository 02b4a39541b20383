"""What is known of a search after the records of its journal: pure, and without KerasTuner or TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tuning.study import records
from tuning.study.journal import Record
from tuning.study.measures import mean_and_spread
from tuning.trial import EpochReport, Trial, TrialTask


@dataclass(frozen=True, kw_only=True)
class Remarked:
    """A remark as it was noted down.

    Attributes:
        time: Seconds since 1970.
        text: A line.
        trial: The trial that it is about, or "".
    """

    time: float
    text: str
    trial: str = ""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A process that works on the search, or did.

    Attributes:
        pid: Its number.
        host: Its machine.
        since: Seconds since 1970 when it began.
    """

    pid: int
    host: str
    since: float


@dataclass
class Open:
    """What has to be known of a trial that has not ended.

    Attributes:
        failures: Attempts that failed.
        decided: For each known (execution, epoch) whether a rule stops the trial there.
        inherited: Epochs of its parent's training, which are not counted again.
        trained: Its own epochs, over all executions.
    """

    failures: int = 0
    decided: dict[tuple[int, int], bool] = field(default_factory=dict)
    inherited: int = 0
    trained: int = 0


class SearchState:
    """Trials and all else that records tell; `apply` is called with each record in order.

    Attributes:
        config: The configuration as it was last noted down, JSON-ready; None before the first record.
        trials: All trials by id, in the order in which they were begun.
        tasks: The latest attempt at each trial.
        open: The trials that have not ended.
        epochs: Epochs trained, over all trials.
        remarks: In order.
        owner: The process that worked last.
        reason: Why the last process stopped, or "" if it did not do so in order or still works.
    """

    def __init__(self) -> None:
        self.config: dict[str, Any] | None = None
        self.trials: dict[str, Trial] = {}
        self.tasks: dict[str, TrialTask] = {}
        self.open: dict[str, Open] = {}
        self.epochs = 0
        self.remarks: list[Remarked] = []
        self.owner: Owner | None = None
        self.reason = ""
        self.begun_at: float | None = None
        self.last_time = 0.0
        self._earlier = 0.0

    def apply(self, record: Record) -> None:
        """Takes in one record.

        Args:
            record: As `tuning.study.records` writes it; one of an unknown kind is left out.
        """
        takes: Mapping[str, Callable[[Record], None]] = {
            "opened": self._opened, "closed": self._closed, "begun": self._begun, "epoch": self._epoch,
            "attempt": self._attempt, "ended": self._ended, "adopted": self._adopted, "remark": self._remark}
        if record["kind"] in takes:
            takes[record["kind"]](record)
        self.last_time = max(self.last_time, record["time"])

    def seconds(self, now: float | None = None) -> float:
        """Returns how long processes worked on the search.

        Args:
            now: Seconds since 1970, if one works on it now; None counts to the last record.
        """
        if self.owner is None:
            return self._earlier
        return self._earlier + max(0.0, (self.last_time if now is None else now) - self.owner.since)

    @property
    def promised(self) -> int:
        """Epochs that the trials which have not ended are still to train, if nothing stops them."""
        return sum(max(0, task.executions * (task.until_epoch - of.inherited) - of.trained)
                   for trial, of in self.open.items() for task in (self.tasks[trial],))

    def _opened(self, record: Record) -> None:
        self._earlier = self.seconds()
        self.config = dict(record["config"]) if "config" in record else self.config
        self.owner = Owner(pid=record["pid"], host=record["host"], since=record["time"])
        self.begun_at = record["time"] if self.begun_at is None else self.begun_at
        self.last_time = record["time"]
        self.reason = ""

    def _closed(self, record: Record) -> None:
        self.reason = record["reason"]

    def _begun(self, record: Record) -> None:
        name = record["trial"]
        if name not in self.trials:
            self._add(record)
            self.trials[name] = Trial(id=name, values=record["values"], attempts=1, started=record["time"],
                                      parent=record.get("parent", ""))
            self.open[name] = Open(inherited=self._inherited(record))
        else:
            self.trials[name] = self.trials[name].replace(attempts=record["attempt"])
            self.tasks[name] = dataclasses.replace(self.tasks[name], attempt=record["attempt"])

    def _add(self, record: Record) -> None:
        config = {"executions": 1, "epochs": record["until_epoch"]} | (self.config or {})
        self.tasks[record["trial"]] = TrialTask(
            trial=record["trial"], values=record["values"], seed=record["seed"], until_epoch=record["until_epoch"],
            executions=config["executions"], epochs=config["epochs"],
            parent=record.get("parent", ""), attempt=record.get("attempt", 1))

    def _inherited(self, record: Record) -> int:
        """Returns how many epochs a trial's parent has trained; a parent without a history has its rung's."""
        parent = record.get("parent", "")
        if parent not in self.trials:
            return 0
        trained = max((report.epoch for report in self.trials[parent].history), default=0)
        return trained or self.tasks[parent].until_epoch

    def _epoch(self, record: Record) -> None:
        name = record["trial"]
        report = EpochReport(epoch=record["epoch"], values=records.floats(record["values"]),
                             execution=record.get("execution", 0), seconds=record["seconds"])
        trial, of = self.trials[name], self.open.get(name)
        if of is None or (report.execution, report.epoch) in of.decided:
            return
        self.trials[name] = trial.replace(history=(*trial.history, report))
        of.decided[report.execution, report.epoch] = record.get("stop", False)
        if report.epoch > of.inherited:
            of.trained += 1
            self.epochs += 1

    def _attempt(self, record: Record) -> None:
        name = record["trial"]
        trial = self.trials[name]
        self.open[name].failures += record["counts"]
        changes: Mapping[str, Any] = ({"error": record["error"], "kind": record["failure"]}
                                      if record["counts"] else {})
        self.trials[name] = trial.replace(seconds=trial.seconds + record["seconds"], **changes)

    def _ended(self, record: Record) -> None:
        outcome = records.outcome_of(record)
        trial = self.trials[record["trial"]]
        measures, spread = mean_and_spread(outcome.executions)
        self.trials[trial.id] = trial.replace(
            status=outcome.status, measures=measures, spread=spread, executions=tuple(outcome.executions),
            error=outcome.error, kind=outcome.kind, ended=record["time"], seconds=trial.seconds + outcome.seconds)
        self.open.pop(trial.id, None)

    def _adopted(self, record: Record) -> None:
        executions = tuple(records.floats(values) for values in record["executions"])
        measures, spread = mean_and_spread(executions)
        self._add(record)
        self.trials[record["trial"]] = Trial(
            id=record["trial"], values=record["values"], status=record["status"], measures=measures, spread=spread,
            executions=executions, attempts=1, error=record["error"], kind=record["failure"],
            parent=record["parent"], started=record["started"], ended=record["ended"])
        if not self.trials[record["trial"]].has_ended:
            self.open[record["trial"]] = Open(inherited=self._inherited(record))

    def _remark(self, record: Record) -> None:
        self.remarks.append(Remarked(time=record["time"], text=record["text"], trial=record.get("trial", "")))
