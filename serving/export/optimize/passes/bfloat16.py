"""Convolutions and matrix products in bfloat16, with float32 at both ends and wherever it matters.

The casts stand in the graph, so a server needs no option for it; a processor without such units computes them slowly.
"""

from __future__ import annotations

import tensorflow as tf

from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.grappler import optimized

_OPTIMIZER = "auto_mixed_precision_onednn_bfloat16"


def to_bfloat16(graph: ForwardGraph) -> ForwardGraph:
    """Returns the graph with casts to bfloat16, and constants in it.

    Raises:
        ValueError: Nothing changed: the processor of this machine does not have it, or there is nothing to compute.
    """
    result = optimized(graph, ["constfold", _OPTIMIZER, "constfold", "arithmetic", "dependency"], bfloat16=True)
    # Asking a node for an attribute that it lacks would add an empty one.
    types = {node.attr["T"].type for node in result.graph_def.node if "T" in node.attr}
    if tf.bfloat16.as_datatype_enum not in types:
        raise ValueError("nothing became bfloat16: this machine's processor lacks it, or nothing is worth it")
    return result
