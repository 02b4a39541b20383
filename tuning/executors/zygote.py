"""A process that has imported TensorFlow, Keras and all that a trial needs, and forks a child per trial.

A trial begins in milliseconds instead of seconds, and the pages that hold the libraries are kept once. It works
because nothing has run yet that cannot be taken through a fork: no TensorFlow op, no thread of ours. The engine is at
the other end of a socket that keeps messages apart:

    zygote -> engine   {"ready": pid}
    engine -> zygote   {"fork": key}       with two descriptors: the trial's channel, and the file that it prints into
    zygote -> engine   {"forked": key, "pid": ...}
    zygote -> engine   {"ended": key, "status": ...}    as waitpid tells it, negative for a signal
    engine -> zygote   {"bury": key}       from here on the process id may become another's

When the engine's end closes, however it ended, all trials are killed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
import warnings
from typing import Any, NoReturn

from tuning.executors.trial_process import Runner, end_with, load_runner, serve

MESSAGE_BYTES = 65536
_LOOK_S = 0.5  # how often to look whether the engine still lives, should its socket be held open by another
_FORK_AGAIN_S = 0.5


class Zygote:
    """Forks trials on request.

    Args:
        control: To the engine.
        engine: The engine's process id.
        runner: What a trial runs its program with.
    """

    def __init__(self, control: socket.socket, engine: int, runner: Runner) -> None:
        self._control = control
        self._engine = engine
        self._runner = runner
        self._pid = os.getpid()
        self._living: dict[int, tuple[str, int]] = {}  # by descriptor of the process: its key and id
        self._dead: dict[str, int] = {}

    def run(self) -> None:
        """Serves the engine until it is gone; then no trial is left."""
        try:
            self._tell({"ready": self._pid})
            while os.getppid() == self._engine:
                poll = select.poll()
                for descriptor in (self._control.fileno(), *self._living):
                    poll.register(descriptor, select.POLLIN)
                for descriptor, _ in poll.poll(_LOOK_S * 1000):
                    if descriptor in self._living:
                        self._ended(descriptor)
                    elif not self._hear():
                        return
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            for _, pid in self._living.values():
                _kill_all(pid)
            for _, pid in self._living.values():
                os.waitpid(pid, 0)

    def _hear(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 2)
        if not data:
            return False
        message = json.loads(data)
        if "fork" in message:
            self._fork(message["fork"], *descriptors)
        elif (pid := self._dead.pop(message["bury"], None)) is not None:
            os.waitpid(pid, 0)
        return True

    def _fork(self, key: str, channel: int, log: int) -> None:
        bound, binds = os.pipe()
        try:
            pid = _fork_patiently()
        except OSError as error:
            self._tell({"forked": key, "error": str(error)})
            pid = -1
        if pid == 0:
            os.close(bound)
            self._become_trial(channel, log, binds)
        os.close(channel)
        os.close(log)
        os.close(binds)
        if pid > 0:
            os.read(bound, 1)  # its end is closed when this process's death is certain to be the trial's, or it is dead
        os.close(bound)
        if pid < 0:
            return
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # by the trial too, whoever comes first
        self._living[os.pidfd_open(pid)] = (key, pid)
        self._tell({"forked": key, "pid": pid})

    def _become_trial(self, channel: int, log: int, binds: int) -> NoReturn:
        try:
            with contextlib.suppress(OSError):
                os.setpgid(0, 0)
            end_with(self._pid)
            os.close(binds)
            self._control.close()
            for descriptor in self._living:
                os.close(descriptor)
            for standard in (1, 2):
                os.dup2(log, standard)
            os.close(log)
            serve(socket.socket(fileno=channel), lambda: self._runner)
        finally:
            os._exit(1)

    def _ended(self, descriptor: int) -> None:
        key, pid = self._living.pop(descriptor)
        os.close(descriptor)
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        _kill_all(pid)  # what the trial began itself; the dead one keeps the id until it is buried
        self._dead[key] = pid
        by_signal = found is not None and found.si_code in (os.CLD_KILLED, os.CLD_DUMPED)
        status = 0 if found is None else -found.si_status if by_signal else found.si_status
        self._tell({"ended": key, "status": status})

    def _tell(self, message: dict[str, Any]) -> None:
        self._control.send(json.dumps(message).encode())


def _fork_patiently() -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Python 3.12 and later warn of threads that are not taken along: TensorFlow's that sleep until its first op.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return os.fork()
        except OSError:  # no process or memory to spare at this moment, as after the death of a large trial
            time.sleep(_FORK_AGAIN_S)
            return os.fork()


def _kill_all(group: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(group, signal.SIGKILL)


def warm_up(runner: str, modules: list[str]) -> Runner:
    """Imports what trials need and keeps the garbage collector from touching, and so copying, its pages.

    Args:
        runner: What runs a program, as "module:function".
        modules: Names of further modules.

    Returns:
        The runner.
    """
    for module in modules:
        importlib.import_module(module)
    found = load_runner(runner)
    gc.collect()
    gc.freeze()
    return found


def main(arguments: list[str]) -> int:
    """Runs the zygote.

    Args:
        arguments: The control socket's descriptor, the engine's process id, the runner and the modules to import.

    Returns:
        The exit code.
    """
    control = socket.socket(fileno=int(arguments[0]))
    control.set_inheritable(False)
    try:
        runner = warm_up(arguments[2], arguments[3:])
    except BaseException:
        traceback.print_exc()
        return 1
    Zygote(control, int(arguments[1]), runner).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
