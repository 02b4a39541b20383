"""SavedModels in a v1 session, as TensorFlow Serving and the embedded server run them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engines.table import Engine


def loader(engine: Engine, root: Path, threads: int) -> Callable[[int], Any]:
    """Loads a version once; one session answers batches of all sizes.

    An export of ours gets what stands beside it: the environment of its `server.env`, which the kernels read when they
    are first used, and the threads of its `server.flags`.
    """
    path = root / engine.artifact / ("repository/m/1" if engine.ours else "1")
    import tensorflow as tf

    from serving.export.server_files import server_environment, server_threads

    within = across = threads
    if engine.ours:
        os.environ |= server_environment(path)
        chosen = server_threads(path)
        within, across = chosen.get("intra_op", threads), chosen.get("inter_op", threads)
    from serving.export.text_ops import load_text_ops

    with np.load(root / "bundle" / "inputs.npz") as arrays:
        inputs = {name: arrays[name] for name in arrays.files}
    if engine.ours and "token_ids" in inputs:
        load_text_ops()  # beside the tensors, it takes texts
    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=within, inter_op_parallelism_threads=across)
    session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
    with session.graph.as_default():
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
    signature = loaded.signature_def["serving_default"]
    names = sorted(signature.inputs)
    fetched = next(iter(signature.outputs.values())).name
    run = session.make_callable([fetched], [signature.inputs[name].name for name in names])
    given = [inputs[name] if name in inputs else next(iter(inputs.values())) for name in names]

    def ready(batch: int) -> Callable[[], Any]:
        rows = [array[:batch] for array in given]
        return lambda: run(*rows)[0]

    return ready
