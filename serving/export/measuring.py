"""Measures a model as it will be served: exports it to a temporary folder and times it there in a clean process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from serving.errors import ExportError
from serving.export.export import export_model
from serving.export.validation import clean_environment

_TIMED = ("latency_ms", "latency_p99_ms", "memory_mb")
# What a server reads; the rest of a version is for people and for tests.
_SERVED = ("saved_model.pb", "fingerprint.pb", "variables", "assets")
_NAME = "measured"
# A trial's share of the machine must not slow down what will have a machine of its own.
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
                    "TF_NUM_INTEROP_THREADS")
_START_SECONDS = 300.0


def measure_exported(model: Any, names: Sequence[str],
                     quiet: Callable[[], AbstractContextManager[Any]]) -> dict[str, float]:
    """Exports a model and measures it; see `serving.export.measures.ServingMeasures.measure`.

    Args:
        model: A keras.Model with a record.
        names: Of `ServingMeasures.names`.
        quiet: Gives a context in which nothing else computes.

    Returns:
        The values by name.

    Raises:
        ServingError: The model cannot be exported or does not answer.
    """
    values: dict[str, float] = {"parameters": float(model.count_params())}
    if set(names) - set(values):
        with tempfile.TemporaryDirectory(prefix="zoo-measure-") as root:
            folder = export_model(model, root, name=_NAME, batch_sizes=(1,), validate=False).path
            values["size_mb"] = _size(folder) / 1e6
            if set(names) & set(_TIMED):
                values |= _timed(folder, quiet)
    return {name: values[name] for name in names}


def _size(folder: Path) -> int:
    paths = [path for name in _SERVED for path in [folder / name, *(folder / name).rglob("*")]]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _timed(folder: Path, quiet: Callable[[], AbstractContextManager[Any]]) -> dict[str, float]:
    """Times a version in a process of its own, which has loaded it before the others are kept quiet."""
    environment = {name: value for name, value in clean_environment().items() if name not in _THREAD_SETTINGS}
    command = [sys.executable, "-m", "serving.export.measure", str(folder)]
    with (tempfile.TemporaryFile("w+") as words,
          subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words,
                           text=True) as process):
        try:
            _answer(process, words)
            with quiet():
                _tell(process, "go")
                answer = _answer(process, words)
        finally:
            process.kill()
    return {name: float(value) for name, value in answer.items()}


def _tell(process: subprocess.Popen[str], word: str) -> None:
    if process.stdin is not None:
        process.stdin.write(f"{word}\n")
        process.stdin.flush()


def _answer(process: subprocess.Popen[str], words: Any) -> dict[str, Any]:
    line = process.stdout.readline() if process.stdout is not None else ""
    try:
        answer: dict[str, Any] = json.loads(line)
    except ValueError:
        process.wait(_START_SECONDS)
        words.seek(0)
        said = " ".join(words.read().split())[-600:]
        raise ExportError(f"The measuring process ended with code {process.returncode} and no answer. Its last words: "
                          f"{said or 'none'}") from None
    if "error" in answer:
        raise ExportError(f"The exported model could not be measured: {answer['error']}")
    return answer
