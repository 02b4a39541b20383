"""What begins trials' processes, whichever way: forked from a zygote, or afresh; the engine sees no difference."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from tuning.errors import EngineError
from tuning.executors.channel import Channel

NO_MORE = ("The system lets no further process begin: {}. Run fewer trials at once (`jobs`), or raise the limit of "
           "processes or memory.")


class LauncherDied(EngineError):
    """What begins processes has died; a new one may be begun."""


@dataclass(frozen=True, eq=False)
class TrialProcess:
    """A trial's process: `pid` leads a group of its own, and stays its id until `Launcher.bury`."""

    key: str
    pid: int
    channel: Channel

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process and to those that it began.

        Args:
            number: The signal.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class Launcher(Protocol):
    """Begins trials' processes and tells when they end."""

    @property
    def ready(self) -> bool:
        """Whether a process would begin at once."""

    def waited_for(self) -> tuple[int, ...]:
        """Descriptors that are readable when something has happened."""

    def start(self, key: str, order: Mapping[str, Any], log: IO[bytes]) -> TrialProcess:
        """Begins a process and tells it what to do."""

    def ended(self) -> list[tuple[str, int]]:
        """Returns keys and exit statuses, negative for a signal, of processes that ended since the last call."""

    def bury(self, process: TrialProcess) -> None:
        """Lets the system forget an ended process."""

    def close(self) -> None:
        """Kills what still runs."""


def environment() -> dict[str, str]:
    """Returns this process's environment, with its import path for processes that it begins.

    What a script put on the path is found there too. TensorFlow's notes about the machine stay out of the logs.
    """
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    return {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "PYTHONPATH": path}


def in_words(status: int) -> str:
    """Returns what became of a process, to follow its name in a sentence.

    Args:
        status: Its exit status, negative for a signal.
    """
    if status >= 0:
        return f"ended with code {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
