"""What is known of the shapes of a graph's tensors before it runs."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from serving.export.optimize.graph import ForwardGraph

# None for an axis whose size is known at run time only; no entry for a tensor whose rank is not known.
Shapes = Mapping[str, tuple[int | None, ...]]


def static_shapes(graph: ForwardGraph) -> Shapes:
    """The shape of each node's first output, by the node's name."""
    held = tf.Graph()
    with held.as_default():
        tf.graph_util.import_graph_def(graph.graph_def, name="")
    return {operation.name: tuple(operation.outputs[0].shape.as_list()) for operation in held.get_operations()
            if operation.outputs and operation.outputs[0].shape.rank is not None}
