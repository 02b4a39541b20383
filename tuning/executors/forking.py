"""Trials' processes forked from a zygote: the engine's side of `tuning.executors.zygote`."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import IO, Any

from tuning.errors import EngineError
from tuning.executors.channel import Channel
from tuning.executors.cores import visible_gpus
from tuning.executors.launching import NO_MORE, LauncherDied, TrialProcess, environment, in_words
from tuning.executors.zygote import MESSAGE_BYTES

_START_S = 300.0  # the longest that importing TensorFlow may take, on a cold and busy disk
_END_S = 10.0
_LAST_LINES = 12


class ZygoteLauncher:
    """Forks from a zygote, which begins to warm up as soon as this is made.

    Args:
        runner: What runs a program.
        modules: What is imported besides.
    """

    def __init__(self, runner: str, modules: tuple[str, ...] = ()) -> None:
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._control, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with far:
            self._zygote = subprocess.Popen(
                [sys.executable, "-P", "-m", "tuning.executors.zygote", str(far.fileno()), str(os.getpid()), runner,
                 *modules], pass_fds=(far.fileno(),), stdin=subprocess.DEVNULL, stdout=self._printed,
                stderr=self._printed, start_new_session=True, env=environment())
        self._begun = time.monotonic()
        self._ready = False
        self._ended: list[tuple[str, int]] = []

    @property
    def pid(self) -> int:
        """The zygote's process id."""
        return self._zygote.pid

    @property
    def ready(self) -> bool:
        """Whether the imports are done.

        Raises:
            EngineError: They failed.
        """
        if not self._ready:
            self._read(wait_s=0)
            if not self._ready and time.monotonic() > self._begun + _START_S:
                raise EngineError(f"The process that imports TensorFlow for the trials was not done in {_START_S:g} "
                                  f"seconds. Is the disk or the machine overloaded? It printed:\n{self._last_lines()}")
        return self._ready

    def waited_for(self) -> tuple[int, ...]:
        """The control socket."""
        return (self._control.fileno(),)

    def start(self, key: str, order: Mapping[str, Any], log: IO[bytes]) -> TrialProcess:
        """Begins a process and tells it what to do.

        Args:
            key: Names the process.
            order: The first message to it.
            log: What it prints into.

        Returns:
            The process.

        Raises:
            LauncherDied: The zygote is gone.
            EngineError: The system allows no further process.
        """
        channel, far = Channel.pair()
        try:
            with far:
                self._send({"fork": key}, far.fileno(), log.fileno())
            pid = self._forked(key)
        except BaseException:
            channel.close()
            raise
        with contextlib.suppress(OSError):  # should it have died already, that is told like any other death
            channel.send(order)
        return TrialProcess(key, pid, channel)

    def _forked(self, key: str) -> int:
        answer: dict[str, Any] | None = {}
        while answer is not None and answer.get("forked") != key:
            answer = self._read(wait_s=_START_S)
        if answer is None:
            raise LauncherDied("The process that trials are forked from does not answer.")
        if "error" in answer:
            raise EngineError(NO_MORE.format(answer["error"]))
        pid: int = answer["pid"]
        return pid

    def ended(self) -> list[tuple[str, int]]:
        """Returns what ended since the last call.

        Raises:
            LauncherDied: The zygote is gone.
        """
        while self._read(wait_s=0) is not None:
            pass
        ended, self._ended = self._ended, []
        return ended

    def bury(self, process: TrialProcess) -> None:
        """Lets the system forget an ended process.

        Args:
            process: The process.
        """
        with contextlib.suppress(LauncherDied):  # `ended` tells of that
            self._send({"bury": process.key})

    def close(self) -> None:
        """Ends the zygote, and with it every trial."""
        self._control.close()
        try:
            self._zygote.wait(_END_S if self._ready else 0)  # while it still imports, nothing is lost
        except subprocess.TimeoutExpired:
            self._zygote.kill()
            self._zygote.wait()
        self._printed.close()

    def _send(self, message: Mapping[str, Any], *descriptors: int) -> None:
        try:
            socket.send_fds(self._control, [json.dumps(message).encode()], descriptors)
        except OSError as error:
            raise self._death() from error

    def _read(self, wait_s: float) -> dict[str, Any] | None:
        """Reads one message; None where none has come."""
        self._control.settimeout(wait_s)
        try:
            data = self._control.recv(MESSAGE_BYTES)
        except (BlockingIOError, TimeoutError):
            return None
        except OSError:
            data = b""
        finally:
            self._control.settimeout(None)
        if not data:
            raise self._death()
        message: dict[str, Any] = json.loads(data)
        self._ready = self._ready or "ready" in message
        if "ended" in message:
            self._ended.append((message["ended"], message["status"]))
        return message

    def _death(self) -> EngineError:
        try:
            status = self._zygote.wait(_END_S)
        except subprocess.TimeoutExpired:
            return LauncherDied("The process that trials are forked from does not answer.")
        if self._ready or status < 0:
            return LauncherDied(f"The process that trials are forked from {in_words(status)}.")
        return EngineError("What trials need could not be imported. The process that tried printed:\n"
                           f"{self._last_lines()}")

    def _last_lines(self) -> str:
        self._printed.seek(0)
        return "\n".join(self._printed.read().decode(errors="replace").splitlines()[-_LAST_LINES:])


def forking_is_safe() -> bool:
    """Tells whether trials can be forked here: on a Linux that has descriptors of processes, and with no card."""
    if sys.platform != "linux" or visible_gpus():
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True
