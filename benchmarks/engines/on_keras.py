"""`model.predict`, as Keras's users answer with a model that they have loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engines.prepare import loaded
from benchmarks.engines.table import Engine


def loader(engine: Engine, root: Path, threads: int) -> Callable[[int], Any]:
    """Loads the bundle."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    model = loaded(root)
    with np.load(root / "bundle" / "inputs.npz") as arrays:
        inputs = [arrays[tensor.name] for tensor in model.inputs]

    def ready(batch: int) -> Callable[[], Any]:
        rows = [array[:batch] for array in inputs]
        return lambda: model.predict(rows if len(rows) > 1 else rows[0], batch_size=batch, verbose=0)

    return ready
