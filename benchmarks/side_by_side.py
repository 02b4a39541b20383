"""What comparisons share: processes that take turns, and what is told about the machine beside the figures."""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import os
import platform
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl
ROOT = Path(__file__).resolve().parents[1]


def end_with_parent() -> None:
    """Ends this process when its parent does, however that ends: a process that stands still would stay for ever."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


class WorkerError(Exception):
    """A worker ended or took too long; the message has its last words."""


def environment(threads: int) -> dict[str, str]:
    """The environment of a process that computes with so many threads and finds this project."""
    number = str(threads)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": number, "TF_NUM_INTRAOP_THREADS": number,
            "TF_NUM_INTEROP_THREADS": number, "TOKENIZERS_PARALLELISM": "false"}


class Worker:
    """A process that answers lines of JSON and stands still in between; a context manager.

    Args:
        arguments: What follows `python`.
        threads: How many it computes with.
        patience: Seconds that one answer may take.
    """

    def __init__(self, arguments: Sequence[str], threads: int, patience: float = 600.0) -> None:
        self.patience = patience
        self._words = tempfile.TemporaryFile("w+")  # noqa: SIM115  # as long as the process
        # A session of its own, so that the processes that it starts stand still with it.
        self._process = subprocess.Popen([sys.executable, *arguments], env=environment(threads), cwd=ROOT,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words, text=True,
                                         start_new_session=True)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for name in (signal.SIGKILL, signal.SIGCONT):
            self._signal(name)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._words):
            if pipe is not None:
                pipe.close()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Wakes the process, asks, and puts it to rest again.

        Raises:
            WorkerError: It has no answer.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._signal(signal.SIGCONT)
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            ready, _, _ = select.select([self._process.stdout], [], [], self.patience)
            line = self._process.stdout.readline() if ready else ""
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(self._last_words())
        self._signal(signal.SIGSTOP)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _signal(self, name: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, name)
        except ProcessLookupError:
            return

    def _last_words(self) -> str:
        code = self._process.poll()
        self._words.seek(0)
        lines = [line for line in self._words.read().splitlines() if line.strip()]
        return f"code {code}: " + " | ".join(lines[-3:])[-600:]


def machine(threads: int) -> dict[str, Any]:
    """What the figures depend on: processor, threads, load, system."""
    name = platform.processor()
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        entries = dict(line.split(":", 1) for line in cpu.read_text().splitlines() if ":" in line)
        found = {key.strip(): value.strip() for key, value in entries.items()}
        name = found.get("model name", name)
        flags = found.get("flags", "").split()
        name += "".join(f", {label}" for flag, label in (("avx512f", "AVX-512"), ("avx512_bf16", "bf16"),
                                                         ("avx512_vnni", "VNNI"), ("amx_tile", "AMX")) if flag in flags)
    return {"processor": name, "processors": os.cpu_count(), "threads": threads, "system": platform.platform(),
            "python": platform.python_version(), "load": round(os.getloadavg()[0], 1),
            "when": time.strftime("%Y-%m-%d %H:%M")}


def versions(names: Sequence[str]) -> dict[str, str]:
    """Versions of packages; those that are missing are left out."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def told(facts: Mapping[str, Any]) -> str:
    """Facts as one line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())
