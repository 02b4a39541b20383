"""Measures a model as it will be served: exports it to a temporary folder and times it there in a clean process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from serving.export.export import export_model
from serving.export.measuring_process import MeasuringProcess
from serving.export.version import served_size

_TIMED = ("latency_ms", "latency_p99_ms", "memory_mb")
_NAME = "measured"


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
            values["size_mb"] = served_size(folder) / 1e6
            if set(names) & set(_TIMED):
                values |= _timed(folder, quiet)
    return {name: values[name] for name in names}


def _timed(folder: Path, quiet: Callable[[], AbstractContextManager[Any]]) -> dict[str, float]:
    """Times a version in a process of its own, which has loaded it before the others are kept quiet."""
    with MeasuringProcess(folder) as process:
        process.wait_until_ready()
        with quiet():
            answer = process.ask()
    return {name: float(value) for name, value in answer.items()}
