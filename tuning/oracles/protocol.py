"""The seam between a study and what chooses its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tuning.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A trial that is to be run.

    Attributes:
        trial: Its id as KerasTuner writes it, such as "0007".
        values: The hyperparameters by name, the oracle's own ("tuner/...") included.
        until_epoch: Epoch after which it rests.
        parent: Trial whose training it takes up (Hyperband), or "".
    """

    trial: str
    values: Mapping[str, Any]
    until_epoch: int
    parent: str = ""


@dataclass(frozen=True)
class Waiting:
    """Nothing can be proposed before one of the running trials has ended."""


@dataclass(frozen=True)
class Exhausted:
    """Nothing is left to propose."""


class Driver(Protocol):
    """Chooses trials. Same seed and same history give the same proposals; it is called from one thread."""

    def next(self) -> Proposal | Waiting | Exhausted:
        """Chooses the next trial, which counts as running from then on."""

    def ended(self, trial: Trial, trials: Mapping[str, Trial]) -> None:
        """Learns from a trial that has ended for good.

        Args:
            trial: The trial.
            trials: All trials by id, this one included.
        """

    def restore(self, trials: Sequence[Trial]) -> None:
        """Brings a fresh driver to where it was after these trials.

        Args:
            trials: All trials in the order in which they began; those that have not ended count as running.
        """

    def save(self, *, force: bool = False) -> None:
        """Writes what KerasTuner reads, if enough has happened since the last time.

        Args:
            force: Write it whatever has happened: for the end of a search.
        """
