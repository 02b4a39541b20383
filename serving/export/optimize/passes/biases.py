"""Sums of a constant per channel written as BiasAdd, the only form that TensorFlow fuses with what is before it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from serving.export.optimize.edit import GraphEdit
from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.passes.linear import channels_of, operands, per_channel, weight_of


def write_biases(graph: ForwardGraph) -> ForwardGraph:
    """Returns the graph with a BiasAdd for each sum behind a convolution or matrix product."""
    edit = GraphEdit(graph)
    for node in edit.of_kind("AddV2", "Add"):
        found = operands(edit, node)
        weight = weight_of(edit, found[0]) if found else None
        if found is None or weight is None:
            continue
        bias = per_channel(found[1], found[0], channels_of(found[0], weight))
        if bias is not None:
            name = edit.add_constant(f"{node.name}/bias", bias.astype(np.float32))
            edit.become(node, "BiasAdd", [found[0].name, name],
                        {"data_format": tf.compat.v1.AttrValue(s=b"NHWC")})
    return edit.finished()
