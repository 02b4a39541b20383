"""A trial as pure data: what is to be run, what came of it, and all that is known of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from zoo.errors import ArgumentError

TrialStatus = Literal["running", "completed", "stopped", "infeasible", "failed"]
"""A trial that waits for another attempt is "running" until it has ended for good."""

OutcomeStatus = Literal["completed", "stopped", "infeasible", "failed", "interrupted"]
"""How one attempt ended. "interrupted": the search itself is stopping, and the attempt does not count."""

FailureKind = Literal["", "error", "memory", "crash", "timeout", "lost"]
"""Why an attempt failed: a refusal that would come again, memory, a dead process, too slow, a lost machine."""

ENDED: tuple[str, ...] = ("completed", "stopped", "infeasible", "failed")
OUTCOMES: tuple[str, ...] = get_args(OutcomeStatus)


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """What an engine has to run: one attempt at one trial. JSON-ready, because it travels between processes.

    Attributes:
        trial: The trial's id as KerasTuner writes it, such as "0007".
        values: The hyperparameters by name; names that begin with "tuner/" are the oracle's own (Hyperband).
        seed: Of the first execution; execution i uses seed + i.
        executions: How often the trial is run, each from its own seed.
        epochs: Epochs of a whole training, which schedules are laid out for.
        until_epoch: Epoch after which this trial rests; `epochs` but in Hyperband's lower rungs.
        parent: Trial whose training is taken up (Hyperband), or "".
        attempt: From 1.
    """

    trial: str
    values: Mapping[str, Any]
    seed: int = 0
    executions: int = 1
    epochs: int = 1
    until_epoch: int = 1
    parent: str = ""
    attempt: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Returns the task as JSON-ready data."""
        return dataclasses.asdict(self) | {"values": dict(self.values)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialTask:
        """Reads what `to_dict` wrote."""
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """The measures after one epoch of one execution: "loss", "val_loss", "val_accuracy", ...; epochs from 1."""

    epoch: int
    values: Mapping[str, float]
    execution: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TrialOutcome:
    """How one attempt at a trial ended.

    Attributes:
        status: One of `OutcomeStatus`.
        executions: For each finished execution its final measures: those of its best epoch, and the measured ones
            such as "latency_ms".
        error: What went wrong, in a line or two, where it failed; what was not met, where it is infeasible.
        kind: Why it failed.
        seconds: Wall-clock seconds that the attempt took.
    """

    status: OutcomeStatus
    executions: Sequence[Mapping[str, float]] = ()
    error: str = ""
    kind: FailureKind = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.status not in OUTCOMES:
            raise ArgumentError(f"`status` must be one of {', '.join(OUTCOMES)}. Received: {self.status!r}")

    def to_dict(self) -> dict[str, Any]:
        """Returns the outcome as JSON-ready data."""
        return dataclasses.asdict(self) | {"executions": [dict(values) for values in self.executions]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialOutcome:
        """Reads what `to_dict` wrote."""
        return cls(**{**values, "executions": tuple(values.get("executions", ()))})


@dataclass(frozen=True, kw_only=True)
class Trial:
    """All that is known of a trial.

    Attributes:
        id: As KerasTuner writes it.
        values: The hyperparameters by name.
        status: One of `TrialStatus`.
        measures: The final measures by name: the mean over the executions. Empty until one has finished.
        spread: Their standard deviation over the executions (n - 1), where there are two or more.
        executions: The final measures of each execution.
        history: The epochs that were reported, in order.
        attempts: How often it was begun.
        error: The last failure.
        kind: Why it failed, of `FailureKind`.
        parent: The trial whose training it took up, or "".
        started: Seconds since 1970 when it was first begun.
        ended: The same when it ended, or None.
        seconds: Seconds that its attempts took.
    """

    id: str
    values: Mapping[str, Any]
    status: TrialStatus = "running"
    measures: Mapping[str, float] = field(default_factory=dict)
    spread: Mapping[str, float] = field(default_factory=dict)
    executions: tuple[Mapping[str, float], ...] = ()
    history: tuple[EpochReport, ...] = ()
    attempts: int = 0
    error: str = ""
    kind: FailureKind = ""
    parent: str = ""
    started: float | None = None
    ended: float | None = None
    seconds: float = 0.0

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in ENDED

    @property
    def searched(self) -> dict[str, Any]:
        """The hyperparameters without the oracle's own."""
        return {name: value for name, value in self.values.items() if not name.startswith("tuner/")}

    @property
    def epochs(self) -> int:
        """Epochs that were reported, over all executions."""
        return len(self.history)

    def replace(self, **changes: Any) -> Trial:
        """Returns a copy with other values in the named fields."""
        return dataclasses.replace(self, **changes)
