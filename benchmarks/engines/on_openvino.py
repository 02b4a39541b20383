"""OpenVINO, compiled for the size of the batch: a little faster than one model for batches of all sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.engines.prepare import foreign_inputs
from benchmarks.engines.table import Engine


def loader(engine: Engine, root: Path, threads: int) -> Callable[[int], Any]:
    """Reads the model; what int8 leaves over computes in bfloat16 where the processor has it."""
    import openvino as ov

    core = ov.Core()
    model = core.read_model(root / engine.artifact / "model.xml")
    settings = {"INFERENCE_PRECISION_HINT": "f32" if engine.precision == "float32" else "bf16",
                "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}

    def ready(batch: int) -> Callable[[], Any]:
        rows = foreign_inputs(root, batch)
        model.reshape({name: array.shape for name, array in rows.items()})
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        return lambda: next(iter(request.infer(rows, share_inputs=True).values()))

    return ready
