"""Reshapes, and the arithmetic on shapes around them, that a graph can do without.

A Transformer goes to rows and back in each block. Of a chain of reshapes only the last one counts, and what is asked
of the shape of a reshaped tensor is often what it was reshaped to. A product is joined with the residual sum behind it
only where TensorFlow sees that both have the same number of rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.edit import GraphEdit, node_of
from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.passes.attributes import FIRST, RESHAPE, SHAPE, number_type, whole
from serving.export.optimize.passes.shapes import Shapes, static_shapes

# They give the shape of their first input.
_SAME_SHAPE = frozenset({"Identity", "BiasAdd", "Relu", "Neg", "Softmax"})


def simplify_reshapes(graph: ForwardGraph) -> ForwardGraph:
    """Returns the graph without reshapes of reshapes, reshapes that change nothing, and shapes that are known."""
    edit, shapes = GraphEdit(graph), static_shapes(graph)
    for node in edit.of_kind("Reshape"):
        before = edit.source(node, 0)
        if before.op == "Reshape":
            edit.set_inputs(node, [before.input[0], node.input[1]])
    for node in edit.of_kind("Reshape"):
        if not edit.is_output(node) and _changes_nothing(edit, node, shapes):
            edit.bypass(node, node.input[0])
    for node in edit.of_kind("StridedSlice"):
        size = _known_size(edit, node)
        if size is not None and not edit.is_output(node):
            edit.bypass(node, size)
    for node in edit.of_kind("AddV2"):
        _tie_rows(edit, node, shapes)
    return edit.finished()


def _changes_nothing(edit: GraphEdit, node: Any, shapes: Shapes) -> bool:
    """Whether the wished shape is the input's, of whose axes at most the first one is unknown."""
    wished, shape = edit.constant(node.input[1]), shapes.get(node_of(node.input[0]))
    if wished is None or not shape or None in shape[1:] or wished.shape != (len(shape),) or 0 in shape[1:]:
        return False
    first = -1 if shape[0] is None else shape[0]
    return bool(wished[0] in (first, -1) and list(wished[1:]) == list(shape[1:]))


def _known_size(edit: GraphEdit, node: Any) -> str | None:
    """The scalar that a slice of a tensor's shape takes, if the tensor was reshaped to it."""
    shape = edit.source(node, 0)
    if shape.op != "Shape" or node.attr["shrink_axis_mask"].i != 1:
        return None
    place, tensor = edit.constant(node.input[1]), edit.source(shape, 0)
    while tensor.op in _SAME_SHAPE:
        tensor = edit.source(tensor, 0)
    wished = edit.source(tensor, 1) if tensor.op == "Reshape" else None
    if place is None or wished is None or wished.op != "Pack" or wished.attr["axis"].i != 0:
        return None
    size = wished.input[int(place.reshape(-1)[0])] if 0 <= place.reshape(-1)[0] < len(wished.input) else None
    value = edit.constant(size) if size is not None else None
    return None if value is not None and value < 1 else size


def _tie_rows(edit: GraphEdit, total: Any, shapes: Shapes) -> None:
    """Takes the rows of a product's input from the tensor that its result is added to, where a reshape makes them."""
    for place in (0, 1):
        bias, other = edit.source(total, place), total.input[1 - place]
        product = edit.source(bias, 0) if bias.op == "BiasAdd" else bias
        rows = edit.source(product, 0) if product.op == "MatMul" else None
        if rows is None or rows.op != "Reshape" or not edit.has_one_consumer(rows):
            continue
        wished, shape = edit.constant(rows.input[1]), shapes.get(node_of(other), ())
        if wished is None or len(wished) != 2 or wished[0] != -1 or len(shape) != 2 or shape[0] is not None:
            continue
        name = f"{rows.name}/rows"
        own = edit.add(name, "Shape", [other], SHAPE).name
        if shape[1] != wished[1]:
            ends = [edit.add_constant(name, np.array([number], np.int32)) for number in (0, 1, 1)]
            count = edit.add(name, "StridedSlice", [own, *ends], FIRST).name
            width = edit.add_constant(name, wished[1:].astype(np.int32))
            axis = edit.add_constant(name, np.array(0, np.int32))
            own = edit.add(name, "ConcatV2", [count, width, axis],
                           {"T": number_type(tf.int32), "N": whole(2), "Tidx": number_type(tf.int32)}).name
        edit.set_inputs(rows, [rows.input[0], own])
        rows.attr["Tshape"].CopyFrom(RESHAPE["Tshape"])
        return
