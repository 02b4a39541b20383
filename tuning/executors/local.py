"""The engine of one machine: each trial in a process of its own, several at once, with the cores shared out."""

from __future__ import annotations

import os

from tuning.executors.cores import shares
from tuning.executors.launching import Launcher
from tuning.executors.memory import memory_of
from tuning.executors.starting import RUNNER, make_launcher
from tuning.executors.stop_signals import StopSignals
from tuning.executors.trial_loop import TrialLoop
from tuning.study.study import Study
from zoo.errors import ArgumentError


class LocalEngine:
    """Runs trials on this machine.

    Args:
        jobs: How many trials run at once, each bound to cores of its own; None chooses: one per graphics card, or
            else one per core up to four, or per two cores, as far as there is memory.
        memory_bytes: The most memory that a trial may take, in bytes; it is killed when it takes more, and counts as
            out of memory. None leaves that to the system, which then ends trials before it ends the search.
        fork: Whether trials are forked from one process that has imported everything, which saves the seconds that
            importing takes; None where that is safe: on Linux without a graphics card.
        runner: What runs a program in a trial's process, as "module:function".

    Raises:
        ArgumentError: A number is out of its range.
    """

    def __init__(self, jobs: int | None = None, memory_bytes: int | None = None, *, fork: bool | None = None,
                 runner: str = RUNNER) -> None:
        if memory_bytes is not None and memory_bytes <= 0:
            raise ArgumentError(f"`memory_bytes` must be above 0. Received: {memory_bytes}")
        if memory_bytes is not None and not memory_of(os.getpid()):
            raise ArgumentError("`memory_bytes` cannot be watched here: the system has no /proc that tells what a "
                                "process takes. Leave it out.")
        self.shares = shares(jobs)
        self._memory_bytes = memory_bytes
        self._fork = fork
        self._runner = runner
        self._warm: Launcher | None = None

    @property
    def jobs(self) -> int:
        """How many trials run at once."""
        return len(self.shares)

    def warm_up(self) -> None:
        """Begins to import what trials need, in the background; `run` then waits for less, or not at all.

        Whoever calls this and then does not call `run` calls `close`.
        """
        if self._warm is None:
            self._warm = self._launch()

    def close(self) -> None:
        """Ends what `warm_up` began."""
        if self._warm is not None:
            self._warm.close()
            self._warm = None

    def run(self, study: Study) -> None:
        """Runs trials until the study is done or asked to stop, and leaves no process behind.

        Ctrl-C, SIGTERM and SIGHUP ask the study to stop: trials are killed at once, their saved epochs stay, and the
        same search goes on from these when it is run again.

        Args:
            study: An open study.

        Raises:
            EngineError: Trials cannot be run at all.
            StoreError: There is no room on the disk.
        """
        with StopSignals() as signals:
            TrialLoop(study, self.shares, self._launch, signals, self._memory_bytes).run()

    def _launch(self) -> Launcher:
        warm, self._warm = self._warm, None
        return warm or make_launcher(self._runner, fork=self._fork)
