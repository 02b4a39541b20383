"""How a trial's process is begun: forked from a zygote, or afresh; the engine sees no difference."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from tuning.errors import EngineError
from tuning.executors.channel import Channel
from tuning.executors.cores import visible_gpus
from tuning.executors.zygote import MESSAGE_BYTES

_START_S = 300.0  # the longest that importing TensorFlow may take, on a cold and busy disk
_END_S = 10.0
_LAST_LINES = 12


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


def make_launcher(runner: str, modules: tuple[str, ...], *, fork: bool | None) -> Launcher:
    """Chooses how processes are begun.

    Args:
        runner: What runs a program, as "module:function".
        modules: What a zygote imports besides.
        fork: Whether from a zygote; None where that is safe: on Linux, and with no graphics card to be seen, whose
            driver cannot be taken through a fork.

    Returns:
        The launcher.
    """
    if fork is None:
        fork = sys.platform == "linux" and not visible_gpus() and _has_process_descriptors()
    return ZygoteLauncher(runner, modules) if fork else FreshLauncher(runner)


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
        with far:
            self._send({"fork": key}, far.fileno(), log.fileno())
        answer: dict[str, Any] | None = {}
        while answer is not None and answer.get("forked") != key:
            answer = self._read(wait_s=_START_S)
        if answer is None:
            channel.close()
            raise LauncherDied("The process that trials are forked from does not answer.")
        if "error" in answer:
            channel.close()
            raise EngineError(f"The system lets no further process begin: {answer['error']}. Run fewer trials at "
                              "once (`jobs`), or raise the limit of processes or memory.")
        with contextlib.suppress(OSError):  # should it have died already, that is told like any other death
            channel.send(order)
        return TrialProcess(key, answer["pid"], channel)

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
        gpu = order["share"].get("gpu", "")
        with far:
            try:
                begun = subprocess.Popen(
                    [sys.executable, "-P", "-m", "tuning.executors.trial_process", str(far.fileno()),
                     str(os.getpid()), self._runner], pass_fds=(far.fileno(),), stdin=subprocess.DEVNULL, stdout=log,
                    stderr=log, start_new_session=True, env=environment() | (
                        {"CUDA_VISIBLE_DEVICES": gpu, "TF_FORCE_GPU_ALLOW_GROWTH": "true"} if gpu else {}))
            except OSError as error:
                channel.close()
                raise EngineError(f"The system lets no further process begin: {error}. Run fewer trials at once "
                                  "(`jobs`), or raise the limit of processes or memory.") from error
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


def _has_process_descriptors() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True
