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
    """Gives both sides of a sum behind a product the same rows, where a reshape makes those of one of them."""
    for place in (0, 1):
        bias, other = edit.source(total, place), edit.source(total, 1 - place)
        product = edit.source(bias, 0) if bias.op == "BiasAdd" else bias
        if product.op != "MatMul" or len(shapes.get(other.name, ())) != 2:
            continue
        rows = edit.source(product, 0)
        if _makes_rows(edit, rows):
            _take_rows(edit, rows, other.name, shapes)
            return
        if _makes_rows(edit, other):
            _take_rows(edit, other, rows.name, shapes)
            return


def _makes_rows(edit: GraphEdit, node: Any) -> bool:
    """Whether a node is a reshape to [-1, width] for one reader."""
    wished = edit.constant(node.input[1]) if node.op == "Reshape" and edit.has_one_consumer(node) else None
    return wished is not None and len(wished) == 2 and wished[0] == -1


def _take_rows(edit: GraphEdit, reshape: Any, other: str, shapes: Shapes) -> None:
    """Makes a reshape take the number of rows from another tensor."""
    width, shape = edit.constant(reshape.input[1]), shapes.get(other, ())
    if width is None or len(shape) != 2 or shape[0] is not None:
        return
    name = f"{reshape.name}/rows"
    own = edit.add(name, "Shape", [other], SHAPE).name
    if shape[1] != width[1]:
        ends = [edit.add_constant(name, np.array([number], np.int32)) for number in (0, 1, 1)]
        count = edit.add(name, "StridedSlice", [own, *ends], FIRST).name
        last, axis = (edit.add_constant(name, np.array(value, np.int32)) for value in (width[1:], 0))
        own = edit.add(name, "ConcatV2", [count, last, axis],
                       {"T": number_type(tf.int32), "N": whole(2), "Tidx": number_type(tf.int32)}).name
    edit.set_inputs(reshape, [reshape.input[0], own])
    reshape.attr["Tshape"].CopyFrom(RESHAPE["Tshape"])
