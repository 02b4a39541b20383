"""Sums of several tensors and a bias taken apart again: the bias to the convolution, and then the residual.

TensorFlow's own optimiser gathers them as one AddN with the bias behind it, which nothing can be fused with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.edit import GraphEdit, node_of
from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.passes.linear import channels_of, operands, per_channel, weight_of


def write_sums(graph: ForwardGraph) -> ForwardGraph:
    """Returns the graph with an AddV2 for each AddN of two, behind the bias of what it adds up."""
    edit = GraphEdit(graph)
    for node in edit.of_kind("AddN"):
        names = [str(name) for name in node.input if not name.startswith("^")]
        if len(names) != 2:
            continue
        edit.become(node, "AddV2", names, {})
        if edit.has_one_consumer(node):
            _move_bias(edit, node, edit.consumers(node)[0])
    return edit.finished()


def _move_bias(edit: GraphEdit, addition: Any, reader: Any) -> None:
    """Makes what is added behind a sum the bias of a convolution or product that is added up."""
    found = operands(edit, reader) if reader.op in ("AddV2", "Add") else None
    if found is None or found[0] is not addition:
        return
    for place, name in enumerate(addition.input):
        linear = edit.nodes[node_of(name)]
        weight = weight_of(edit, linear)
        if weight is None or not edit.has_one_consumer(linear):
            continue
        bias = per_channel(found[1], linear, channels_of(linear, weight))
        if bias is None:
            continue
        constant = edit.add_constant(f"{linear.name}/bias", bias.astype(np.float32))
        biased = edit.add(f"{linear.name}/biased", "BiasAdd", [linear.name, constant],
                          {"T": linear.attr["T"], "data_format": tf.compat.v1.AttrValue(s=b"NHWC")})
        edit.set_inputs(addition, [biased.name if other == place else tensor
                                   for other, tensor in enumerate(addition.input)])
        edit.bypass(reader, addition.name)
        return
