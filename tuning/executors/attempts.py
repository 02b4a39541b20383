"""One attempt at a trial on this machine, from its process's begin to the outcome that its end is read as."""

from __future__ import annotations

import dataclasses
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from tuning.executors.cores import Share
from tuning.executors.launching import TrialProcess, in_words
from tuning.trial import FailureKind, TrialOutcome, TrialTask

_LAST_LINES = 3
_LAST_BYTES = 4096


@dataclass(kw_only=True)
class Attempt:
    """What the engine knows of a trial that runs.

    Attributes:
        task: What is run.
        process: Where.
        share: What of the machine it uses.
        log: What it prints into.
        log_begun: Length of that file when the attempt began.
        memory_kills: How often the system had killed a process for memory by then.
        begun: When, by the monotonic clock.
        stood_still: Seconds for which others measured.
        outcome: What the program returned.
        doom: Why the engine killed it.
        over_since: When its process closed the channel or sent its outcome, and so has nothing left to do.
        closed: Whether nothing more can come over the channel.
    """

    task: TrialTask
    process: TrialProcess
    share: Share
    log: Path
    log_begun: int = 0
    memory_kills: int = 0
    begun: float = field(default_factory=time.monotonic)
    stood_still: float = 0.0
    outcome: TrialOutcome | None = None
    doom: TrialOutcome | None = None
    over_since: float | None = None
    closed: bool = False

    @property
    def seconds(self) -> float:
        """Seconds that it has had so far."""
        return max(0.0, time.monotonic() - self.begun - self.stood_still)

    def kill(self, doom: TrialOutcome) -> None:
        """Kills the process; what it has saved stays.

        Args:
            doom: The outcome, unless the program's own has come before.
        """
        if self.doom is None:
            self.doom = doom
            self.process.send_signal(signal.SIGKILL)

    def ended(self, status: int | None, memory_kills: int) -> TrialOutcome:
        """Reads the end of the process as an outcome.

        Args:
            status: Its exit status, negative for a signal; None where nobody knows.
            memory_kills: How often the system has killed a process for memory by now.

        Returns:
            The outcome.
        """
        outcome = self.outcome or self.doom
        if outcome is None:
            by_system = status == -signal.SIGKILL and memory_kills > self.memory_kills
            kind: FailureKind = "memory" if by_system else "crash"
            text = ("The system ran out of memory and killed the trial's process. Run fewer trials at once (`jobs`), "
                    "or narrow the space to smaller models or batches." if by_system else
                    f"The trial's process {'is gone' if status is None else in_words(status)} without an outcome.")
            last = self._last_lines()
            outcome = TrialOutcome(status="failed", kind=kind,
                                   error=f"{text} It printed last: {last}" if last else text)
        return dataclasses.replace(outcome, seconds=self.seconds)

    def _last_lines(self) -> str:
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(self.log_begun, size - _LAST_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return " / ".join([line.strip() for line in lines if line.strip()][-_LAST_LINES:])


def interrupted(why: str) -> TrialOutcome:
    """Returns the outcome of an attempt that was none of the trial's fault.

    Args:
        why: What happened.
    """
    return TrialOutcome(status="interrupted", error=why)
