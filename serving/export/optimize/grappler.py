"""TensorFlow's own graph optimisers (Grappler), run before the export instead of in every server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.grappler import tf_optimizer

from serving.export.optimize.edit import in_order, node_of
from serving.export.optimize.graph import ForwardGraph

_ITERATIONS = 2


def optimized(graph: ForwardGraph, optimizers: Sequence[str], *, bfloat16: bool = False) -> ForwardGraph:
    """Runs optimisers over a graph.

    Args:
        graph: The graph.
        optimizers: Their names, such as "constfold", in the order in which they run.
        bfloat16: Whether products of matrices and convolutions may compute in bfloat16; needs the optimiser
            "auto_mixed_precision_onednn_bfloat16", which does nothing on a processor without it.

    Returns:
        The optimised graph.

    Raises:
        ValueError: The result holds operations that are TensorFlow's own matter and not for a file.
    """
    held = tf.Graph()
    with held.as_default():
        tf.graph_util.import_graph_def(graph.graph_def, name="")
    meta_graph = tf.compat.v1.train.export_meta_graph(graph_def=held.as_graph_def(), graph=held)
    kept = meta_graph.collection_def["train_op"].node_list.value
    kept.extend(node_of(name) for name in graph.outputs)
    result = in_order(graph.with_graph_def(tf_optimizer.OptimizeGraph(_config(optimizers, bfloat16), meta_graph)))
    before = {node.op for node in graph.graph_def.node}
    internal = sorted({node.op for node in result.graph_def.node if node.op.startswith("_")} - before)
    if internal:
        raise ValueError(f"it left operations that are no part of TensorFlow's interface: {', '.join(internal)}")
    return result


def _config(optimizers: Sequence[str], bfloat16: bool) -> Any:
    config = config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    options.optimizers.extend(optimizers)
    options.min_graph_nodes = -1
    options.meta_optimizer_iterations = _ITERATIONS
    options.fail_on_optimizer_errors = True
    options.function_optimization = options.AGGRESSIVE  # otherwise calls stay calls
    if bfloat16:
        options.auto_mixed_precision_onednn_bfloat16 = options.ON
    return config
