"""Inside a trial's process: it takes its share of the machine, runs the program and sends the outcome.

`python -m tuning.executors.trial_process` is such a process begun afresh; the zygote forks others.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import random
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from tuning.executors.channel import Channel, ChannelContext
from tuning.folder import SearchFolder
from tuning.trial import TrialOutcome, TrialTask

Runner = Callable[[Mapping[str, Any], ChannelContext], TrialOutcome]
"""Runs a program as `tuning.programs.running.run_task` does."""

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def load_runner(name: str) -> Runner:
    """Returns the function at "module:name".

    Args:
        name: Where it stands.
    """
    module, _, attribute = name.partition(":")
    runner: Runner = getattr(importlib.import_module(module), attribute)
    return runner


def serve(end: socket.socket, load: Callable[[], Runner]) -> NoReturn:
    """Runs the one trial that comes over a socket, and ends this process.

    Args:
        end: The trial's end of the channel.
        load: Gives what runs a program; called after this process has taken its share of the machine.
    """
    code = 1
    try:
        channel = Channel(end)
        order = channel.receive()
        if order is not None:
            take_share(order["share"])
            runner = load()
            settle_libraries(int(order["share"]["threads"]), seed=int(order["task"].get("seed", 0)))
            task, folder = TrialTask.from_dict(order["task"]), SearchFolder(Path(order["folder"]))
            outcome = attempt(runner, order["program"], ChannelContext(channel, task, folder))
            channel.send({"outcome": outcome.to_dict()})
            code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # No clean-up of a whole interpreter with TensorFlow in it: everything is saved, and others wait for the cores.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def attempt(runner: Runner, program: Mapping[str, Any], context: ChannelContext) -> TrialOutcome:
    """Runs a program; what it raises becomes a failed outcome.

    Args:
        runner: What runs it.
        program: Its description.
        context: The engine's side.

    Returns:
        The outcome.
    """
    begun = time.monotonic()
    try:
        return runner(program, context)
    except MemoryError as error:
        traceback.print_exc()
        return TrialOutcome(status="failed", kind="memory", error=f"The trial ran out of memory: {error}".rstrip(": "),
                            seconds=time.monotonic() - begun)
    except Exception as error:
        traceback.print_exc()
        return TrialOutcome(status="failed", kind="error", error=f"{type(error).__name__}: {error}",
                            seconds=time.monotonic() - begun)


def take_share(share: Mapping[str, Any]) -> None:
    """Binds this process to its cores and card, and libraries that are loaded from here on to as many threads.

    Args:
        share: A `tuning.executors.cores.Share` as a dict.
    """
    if share["cores"] and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):  # a core may have been taken from this container meanwhile
            os.sched_setaffinity(0, share["cores"])
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(share["threads"])
    if share["gpu"]:  # read when the first op runs
        os.environ["CUDA_VISIBLE_DEVICES"] = share["gpu"]
        os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"


def settle_libraries(threads: int, *, seed: int) -> None:
    """Tells the libraries that are loaded how many threads they may use, and where random numbers begin.

    Args:
        threads: Of one operation.
        seed: What Python's and NumPy's numbers begin with; forked processes would all repeat the zygote's.
    """
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
    if "tensorflow" in sys.modules:
        options = sys.modules["tensorflow"].config.threading
        options.set_intra_op_parallelism_threads(threads)
        options.set_inter_op_parallelism_threads(max(2, threads))


def end_with(parent: int) -> None:
    """Makes this process end when its parent does, whatever ends that, and the first to go where memory runs out.

    Args:
        parent: The parent's process id.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it was gone before we could say so
        os._exit(1)


def _watch(parent: int) -> None:
    """Does the same by looking, where the system does not tell; it also takes the trial's own processes along."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(0, signal.SIGKILL)


def main(arguments: list[str]) -> NoReturn:
    """Runs one trial in a process begun afresh.

    Args:
        arguments: The channel's descriptor, the parent's process id and the runner's name.
    """
    descriptor, parent, runner = int(arguments[0]), int(arguments[1]), arguments[2]
    end_with(parent)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    end = socket.socket(fileno=descriptor)
    end.set_inheritable(False)
    serve(end, lambda: load_runner(runner))


if __name__ == "__main__":
    main(sys.argv[1:])
