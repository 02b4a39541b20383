"""One trial at a time may measure, and meanwhile the other trials of this machine stand still."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from tuning.executors.launching import TrialProcess

_STILL_S = 1.0  # the longest wait until all have really stopped
_LONGEST_S = 900.0  # who measures for longer than this measures in company


class QuietRoom:
    """Stops trials while one measures, and sees to it that they go on again.

    Args:
        others: Gives all trials that run.
        clock: Seconds that only grow.
    """

    def __init__(self, others: Callable[[], Iterable[TrialProcess]],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._running = others
        self._clock = clock
        self._waiting: deque[TrialProcess] = deque()
        self._holder: TrialProcess | None = None
        self._since = 0.0
        self._stopped: list[TrialProcess] = []

    @property
    def holder(self) -> TrialProcess | None:
        """Who measures now; nothing else is to begin meanwhile."""
        return self._holder

    def stands_still(self, process: TrialProcess) -> bool:
        """Tells whether a trial waits for the room or is stopped, so that its time does not count.

        Args:
            process: The trial's process.
        """
        return process in self._stopped or process in self._waiting

    def ask(self, process: TrialProcess) -> None:
        """Lets a trial in when nobody else is.

        Args:
            process: The trial's process; it is told once it is quiet.
        """
        self._waiting.append(process)
        self._let_in()

    def leave(self, process: TrialProcess) -> None:
        """Ends a trial's turn, or its wish for one; called for every trial that ends too.

        Args:
            process: The trial's process, which may never have asked.
        """
        with contextlib.suppress(ValueError):
            self._waiting.remove(process)
        if process in self._stopped:
            self._stopped.remove(process)
        if process is self._holder:
            self._go_on()
            self._let_in()

    def look(self) -> None:
        """Ends the turn of a trial that has measured for too long."""
        if self._holder is not None and self._clock() > self._since + _LONGEST_S:
            self._go_on()
            self._let_in()

    def open(self) -> None:
        """Lets everyone go on, and forgets who waits."""
        self._waiting.clear()
        self._go_on()

    def _let_in(self) -> None:
        while self._holder is None and self._waiting:
            self._holder, self._since = self._waiting.popleft(), self._clock()
            self._stopped = [process for process in self._running() if process is not self._holder]
            for process in self._stopped:
                process.send_signal(signal.SIGSTOP)
            _wait_until_still(self._stopped)
            try:
                self._holder.channel.send({"quiet": True})
            except OSError:  # it has died while it waited
                self._go_on()

    def _go_on(self) -> None:
        for process in self._stopped:
            process.send_signal(signal.SIGCONT)
        self._stopped, self._holder = [], None


def _wait_until_still(processes: Iterable[TrialProcess]) -> None:
    """Waits until the system says that each is stopped (or dead); it takes effect thread by thread."""
    deadline = time.monotonic() + _STILL_S
    for process in processes:
        while _state(process.pid) in "RSD" and time.monotonic() < deadline:
            time.sleep(0.001)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] or "X"
    except OSError:  # gone, or a system without /proc
        return "X"
