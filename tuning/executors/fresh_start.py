"""Trials' processes begun afresh, each of which imports everything for itself: where forking is not safe."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import IO, Any

from tuning.errors import EngineError
from tuning.executors.channel import Channel
from tuning.executors.launching import NO_MORE, TrialProcess, environment


class FreshLauncher:
    """Begins an interpreter per trial, which then imports everything for itself.

    Args:
        runner: What runs a program.
    """

    ready = True

    def __init__(self, runner: str) -> None:
        self._runner = runner
        self._living: dict[str, tuple[TrialProcess, subprocess.Popen[bytes]]] = {}

    def waited_for(self) -> tuple[int, ...]:
        """None: the end of a process closes its channel, and the engine looks."""
        return ()

    def start(self, key: str, order: Mapping[str, Any], log: IO[bytes]) -> TrialProcess:
        """Begins a process and tells it what to do.

        Args:
            key: Names the process.
            order: The first message to it.
            log: What it prints into.

        Returns:
            The process.

        Raises:
            EngineError: The system allows no further process.
        """
        channel, far = Channel.pair()
        with far:
            try:
                begun = subprocess.Popen(
                    [sys.executable, "-P", "-m", "tuning.executors.trial_process", str(far.fileno()),
                     str(os.getpid()), self._runner], pass_fds=(far.fileno(),), stdin=subprocess.DEVNULL, stdout=log,
                    stderr=log, start_new_session=True, env=environment())
            except OSError as error:
                channel.close()
                raise EngineError(NO_MORE.format(error)) from error
        with contextlib.suppress(OSError):
            channel.send(order)
        process = TrialProcess(key, begun.pid, channel)
        self._living[key] = process, begun
        return process

    def ended(self) -> list[tuple[str, int]]:
        """Returns what ended since the last call."""
        over: list[tuple[str, int]] = []
        for key, (process, begun) in list(self._living.items()):
            status = begun.poll()
            if status is not None:
                process.send_signal(signal.SIGKILL)  # what it began itself
                over.append((key, status))
                del self._living[key]
        return over

    def bury(self, process: TrialProcess) -> None:
        """Has nothing to do: `ended` has seen to it.

        Args:
            process: The process.
        """

    def close(self) -> None:
        """Kills what still runs."""
        for process, begun in self._living.values():
            process.send_signal(signal.SIGKILL)
            begun.wait()
        self._living.clear()
