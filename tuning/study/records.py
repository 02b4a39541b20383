"""The records of a journal: what each kind holds. `tuning.study.replay` reads what these functions write.

    opened    a process works on the search from now on; its configuration, where it is new or has changed
    closed    it stopped doing so in order
    begun     an attempt at a trial; the first one holds all that the trial is
    epoch     the measures after an epoch, and whether a rule stops the trial for them
    attempt   an attempt that was not the last one has ended
    ended     a trial has ended for good
    adopted   a trial that plain KerasTuner ran
    remark    a line for people
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from tuning.study.journal import Record
from tuning.trial import EpochReport, FailureKind, Trial, TrialOutcome, TrialTask


def opened(time: float, pid: int, host: str, config: Mapping[str, Any] | None) -> Record:
    """Returns the record of a process that begins to work on the search."""
    return {"kind": "opened", "time": time, "pid": pid, "host": host} | ({} if config is None else {"config": config})


def closed(time: float, reason: str) -> Record:
    """Returns the record of a process that stops working on the search."""
    return {"kind": "closed", "time": time, "reason": reason}


def begun(time: float, task: TrialTask, *, first: bool) -> Record:
    """Returns the record of an attempt that begins."""
    record: dict[str, Any] = {"kind": "begun", "time": time, "trial": task.trial, "attempt": task.attempt}
    if first:
        record |= {"values": plain(task.values), "seed": task.seed, "until_epoch": task.until_epoch}
        record |= {"parent": task.parent} if task.parent else {}
    return record


def epoch(time: float, trial: str, report: EpochReport, *, stop: bool) -> Record:
    """Returns the record of a reported epoch."""
    record: dict[str, Any] = {"kind": "epoch", "time": time, "trial": trial, "epoch": report.epoch,
                              "values": numbers(report.values), "seconds": round(float(report.seconds), 4)}
    record |= {"execution": report.execution} if report.execution else {}
    return record | ({"stop": True} if stop else {})


def attempt(time: float, trial: str, outcome: TrialOutcome, *, counts: bool) -> Record:
    """Returns the record of an attempt after which the trial is tried again; an interrupted one does not count."""
    return {"kind": "attempt", "time": time, "trial": trial, "counts": counts, "error": outcome.error,
            "failure": outcome.kind, "seconds": round(float(outcome.seconds), 4)}


def ended(time: float, trial: str, outcome: TrialOutcome) -> Record:
    """Returns the record of a trial that has ended for good."""
    return {"kind": "ended", "time": time, "trial": trial, "status": outcome.status,
            "executions": [numbers(values) for values in outcome.executions], "error": outcome.error,
            "failure": outcome.kind, "seconds": round(float(outcome.seconds), 4)}


def adopted(time: float, trial: Trial, seed: int, until_epoch: int) -> Record:
    """Returns the record of a trial that plain KerasTuner ran."""
    return {"kind": "adopted", "time": time, "trial": trial.id, "values": plain(trial.values), "status": trial.status,
            "executions": [numbers(values) for values in trial.executions], "error": trial.error,
            "failure": trial.kind, "parent": trial.parent, "started": trial.started, "ended": trial.ended, "seed": seed,
            "until_epoch": until_epoch}


def remark(time: float, text: str, trial: str = "") -> Record:
    """Returns the record of a remark."""
    return {"kind": "remark", "time": time, "text": text} | ({"trial": trial} if trial else {})


def outcome_of(record: Record) -> TrialOutcome:
    """Returns the outcome that stands in an "ended" record."""
    failure: FailureKind = record["failure"]
    return TrialOutcome(status=record["status"], executions=tuple(floats(v) for v in record["executions"]),
                        error=record["error"], kind=failure, seconds=record["seconds"])


def numbers(values: Mapping[str, Any]) -> dict[str, float | str]:
    """Returns measures as JSON can hold them: numbers of any library as floats, those that are none as words."""
    read = {name: float(value) for name, value in values.items()}
    return {name: value if math.isfinite(value) else str(value) for name, value in read.items()}


def floats(values: Mapping[str, float | str]) -> dict[str, float]:
    """Reads what `numbers` wrote."""
    return {name: float(value) for name, value in values.items()}


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns hyperparameters without the number types of other libraries, as a journal gives them back."""
    read: dict[str, Any] = json.loads(json.dumps(dict(values), default=lambda value: value.item()))
    return read
