"""ONNX Runtime with all of its graph optimisations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.engines.prepare import foreign_inputs
from benchmarks.engines.table import Engine


def loader(engine: Engine, root: Path, threads: int) -> Callable[[int], Any]:
    """Loads the model; one session answers batches of all sizes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(str(root / engine.artifact / "model.onnx"), options,
                                           providers=["CPUExecutionProvider"])

    def ready(batch: int) -> Callable[[], Any]:
        rows = foreign_inputs(root, batch)
        return lambda: session.run(None, rows)[0]

    return ready
