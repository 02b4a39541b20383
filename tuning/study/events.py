"""What happens in a search, for those who look on: a live table, a log, a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from tuning.trial import EpochReport, Trial, TrialTask

EndReason = Literal["finished", "failing", "asked", "interrupted"]
"""The budget is used up or nothing is left to try; one trial after the other failed; somebody asked it to stop; the
engine left for another reason."""


@dataclass(frozen=True, kw_only=True)
class TrialBegun:
    """An engine was given an attempt at a trial.

    Attributes:
        trial: The trial.
        task: What is to be run.
    """

    trial: Trial
    task: TrialTask


@dataclass(frozen=True, kw_only=True)
class EpochDone:
    """An epoch was reported that was not known before.

    Attributes:
        trial: The trial, this epoch included.
        report: The epoch's measures.
        goes_on: Whether the trial goes on.
    """

    trial: Trial
    report: EpochReport
    goes_on: bool


@dataclass(frozen=True, kw_only=True)
class TrialEnded:
    """A trial has ended for good.

    Attributes:
        trial: The trial with its measures.
        is_best: Whether it is the best so far.
    """

    trial: Trial
    is_best: bool


@dataclass(frozen=True, kw_only=True)
class Remark:
    """Something worth knowing that is no result: a trial is tried again, a worker was lost.

    Attributes:
        text: A line.
        trial: The trial that it is about, or "".
    """

    text: str
    trial: str = ""


@dataclass(frozen=True, kw_only=True)
class SearchEnded:
    """The study was closed.

    Attributes:
        reason: Why.
    """

    reason: EndReason


Event = TrialBegun | EpochDone | TrialEnded | Remark | SearchEnded


class Listener(Protocol):
    """Is told of each event, after the journal has it, in the thread that calls the study."""

    def __call__(self, event: Event, /) -> None:
        """Takes note of an event; must not call the study back."""
