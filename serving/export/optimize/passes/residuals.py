"""Residual sums written as AddN, which TensorFlow fuses with a convolution whatever it knows of their shapes.

An AddV2 might broadcast, so it is fused only where the optimiser can prove that both shapes are the same, which it
often cannot for a batch of any size; an AddN cannot broadcast. Unfused, a sum and its activation take a quarter of a
ResNet's time in bfloat16.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from serving.export.optimize.edit import GraphEdit
from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.passes.shapes import Shapes, static_shapes

_SUMMED_UP = frozenset({tf.float32.as_datatype_enum, tf.bfloat16.as_datatype_enum})


def write_residuals(graph: ForwardGraph) -> ForwardGraph:
    """Returns the graph with an AddN for each sum of a biased convolution and another tensor of its shape."""
    edit = GraphEdit(graph)
    shapes = static_shapes(graph)
    for node in edit.of_kind("AddV2", "Add"):
        names = [str(name) for name in node.input if not name.startswith("^")]
        parts = [edit.source(node, place) for place in range(2)]
        if (node.attr["T"].type in _SUMMED_UP and any(_is_fused_with(edit, part) for part in parts)
                and _are_alike(parts, shapes)):
            edit.become(node, "AddN", names, {"N": tf.compat.v1.AttrValue(i=2)})
    return edit.finished()


def _is_fused_with(edit: GraphEdit, node: Any) -> bool:
    """Whether a node is the bias of a convolution, and nothing but the sum reads it."""
    return (node.op == "BiasAdd" and edit.has_one_consumer(node) and edit.source(node, 0).op == "Conv2D"
            and edit.has_one_consumer(edit.source(node, 0)))


def _are_alike(parts: list[Any], shapes: Shapes) -> bool:
    """Whether two tensors have the same shape, row by row, whatever the number of rows."""
    first, second = (shapes.get(part.name) for part in parts)
    return first is not None and first == second and first[0] is None and None not in first[1:]
