"""Products of sequences and pictures with a matrix, written as products of rows.

Keras writes a dense layer over more than two axes as a product of batches, or as reshapes around one of rows with a
dozen operations on shapes, and TensorFlow joins neither with the bias and the activation behind it. Here the rows stay
rows through all operations that work on each number or each channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.edit import GraphEdit, node_of
from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.passes.attributes import FLOATS, RESHAPE, SHAPE, flag, number_type, text, whole
from serving.export.optimize.passes.shapes import Shapes, static_shapes

_OF_ONE = frozenset({"Neg", "Erf", "Erfc", "Tanh", "Relu", "Relu6", "Elu", "Sigmoid", "Square", "Softplus"})
_OF_TWO = frozenset({"AddV2", "Add", "Mul", "Sub", "RealDiv", "Pow"})
# Sums with what a layer was given and with what another product gives; what else two tensors are multiplied for, such
# as a normalisation of the sum, keeps its own form.
_RESIDUAL = frozenset({"AddV2", "Add", "Sub"})
_MATRIX = {"T": number_type(), "transpose_a": flag(False), "transpose_b": flag(False)}


@dataclass(frozen=True)
class _Rows:
    """What a tensor is a reshape of: `rows` [P, `width`], and the tensor that holds its shape."""

    rows: str
    width: int
    shape: str


def write_products_of_rows(graph: ForwardGraph) -> ForwardGraph:
    """Returns the graph with products of rows, and the reshapes behind them moved as far down as they go."""
    edit, shapes = GraphEdit(graph), static_shapes(graph)
    held: dict[str, _Rows] = {}
    for node in [edit.nodes[node.name] for node in graph.graph_def.node]:
        if node.op == "Reshape":
            _note_reshape(edit, node, shapes, held)
        elif node.op == "BatchMatMulV2":
            _write_product(edit, node, shapes, held)
        elif node.op in _OF_ONE or node.op in _OF_TWO or node.op == "BiasAdd":
            _lower(edit, node, shapes, held)
    return edit.finished()


# === Products ===

def _note_reshape(edit: GraphEdit, node: Any, shapes: Shapes, held: dict[str, _Rows]) -> None:
    rows = _tensordot(edit, node, shapes)
    if rows is not None:
        tensor, product, shape = rows
        edit.set_inputs(product, [_rows_of(edit, node_of(tensor), shapes, held), product.input[1]])
        width = edit.constant(product.input[1])
        held[node.name] = _Rows(product.name, int(width.shape[1]) if width is not None else 0, shape)
        edit.set_inputs(node, [product.name, shape])
        node.attr["Tshape"].CopyFrom(RESHAPE["Tshape"])
        return
    before, shape_before = node_of(node.input[0]), shapes.get(node_of(node.input[0]), ())
    own = shapes.get(node.name, ())
    if before in held and len(own) > 1 and _width_at_end(own, held[before].width):
        held[node.name] = _Rows(held[before].rows, held[before].width, node.input[1])
    elif len(shape_before) == 2 and shape_before[1] is not None and _width_at_end(own, shape_before[1]):
        held[node.name] = _Rows(node.input[0], shape_before[1], node.input[1])


def _width_at_end(shape: tuple[int | None, ...], width: int) -> bool:
    """Whether the last axes of a shape make up a row of that width."""
    size = 1
    for number in reversed(shape[1:]):
        if number is None or size == width:
            break
        size *= number
    return size == width


def _tensordot(edit: GraphEdit, node: Any, shapes: Shapes) -> tuple[str, Any, str] | None:
    """(what is multiplied, the product, the result's shape) of a reshape that ends a product over the last axis."""
    product = edit.source(node, 0)
    if product.op != "MatMul" or not edit.has_one_consumer(product) or "transpose_a" not in product.attr:
        return None
    rows, weight = edit.source(product, 0), edit.constant(product.input[1])
    if weight is None or rows.op != "Reshape" or product.attr["transpose_a"].b or product.attr["transpose_b"].b:
        return None
    tensor = rows.input[0]
    before, sizes = shapes.get(node_of(tensor), ()), edit.source(node, 1)
    if len(before) < 3 or before[-1] != weight.shape[0] or not _is_free_axes(edit, sizes, tensor, len(before)):
        return None
    return tensor, product, _shape_with(edit, node, tensor, before, weight.shape[1])


def _is_free_axes(edit: GraphEdit, sizes: Any, tensor: str, rank: int) -> bool:
    """Whether a shape is that of a tensor with another last axis: its Shape gathered at all but that, and a number."""
    if sizes.op != "ConcatV2" or len(sizes.input) != 3 or edit.constant(sizes.input[1]) is None:
        return False
    gathered = edit.source(sizes, 0)
    if gathered.op != "GatherV2":
        return False
    places, source = edit.constant(gathered.input[1]), edit.source(gathered, 0)
    return (places is not None and list(places.reshape(-1)) == list(range(rank - 1)) and source.op == "Shape"
            and source.input[0] == tensor)


def _write_product(edit: GraphEdit, node: Any, shapes: Shapes, held: dict[str, _Rows]) -> None:
    """Makes a product of batches with one matrix a product of rows."""
    weight, tensor = edit.constant(node.input[1]), node_of(node.input[0])
    before = shapes.get(tensor, ())
    turned = any(name in node.attr and node.attr[name].b for name in ("adj_x", "adj_y"))
    if weight is None or weight.ndim != 2 or weight.dtype != np.float32 or len(before) < 3 or turned:
        return
    if before[-1] != weight.shape[0]:
        return
    rows = _rows_of(edit, tensor, shapes, held)
    product = edit.add(f"{node.name}/product", "MatMul", [rows, node.input[1]], _MATRIX)
    shape = _shape_with(edit, node, tensor, before, weight.shape[1])
    _end_with_reshape(edit, node, _Rows(product.name, int(weight.shape[1]), shape), held)


def _rows_of(edit: GraphEdit, tensor: str, shapes: Shapes, held: dict[str, _Rows]) -> str:
    """A tensor [..., width] as rows [P, width]."""
    width = shapes[tensor][-1]
    if tensor in held and held[tensor].width == width:
        return held[tensor].rows
    wished = edit.add_constant(f"{tensor}/width", np.array([-1, width], np.int32))
    return str(edit.add(f"{tensor}/rows", "Reshape", [tensor, wished], RESHAPE).name)


def _shape_with(edit: GraphEdit, node: Any, tensor: str, before: tuple[int | None, ...], width: int) -> str:
    """The shape of a tensor with another last axis."""
    name = f"{node.name}/shape"
    if None not in before[1:]:
        known = [-1 if before[0] is None else before[0], *before[1:-1], width]
        return edit.add_constant(name, np.array(known, np.int32))
    sizes = edit.add(name, "Shape", [tensor], SHAPE).name
    ends = [edit.add_constant(name, np.array([number], np.int32)) for number in (0, -1, 1)]
    slice_attributes = {"T": number_type(tf.int32), "Index": number_type(tf.int32)}
    masks = {f"{mask}_mask": whole(0) for mask in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    first = edit.add(name, "StridedSlice", [sizes, *ends], slice_attributes | masks).name
    last, axis = (edit.add_constant(name, np.array(number, np.int32)) for number in ([width], 0))
    return str(edit.add(name, "ConcatV2", [first, last, axis],
                        {"T": number_type(tf.int32), "N": whole(2), "Tidx": number_type(tf.int32)}).name)


# === What is behind them ===

def _lower(edit: GraphEdit, node: Any, shapes: Shapes, held: dict[str, _Rows]) -> None:
    """Computes an operation on rows, if what it takes is a reshape of such."""
    names = [node_of(name) for name in node.input if not name.startswith("^")]
    found = next((held[name] for name in names if name in held), None)
    if found is None or edit.is_output(node) or shapes.get(node.name) is None:
        return
    whole_shape = shapes[next(name for name in names if name in held)]
    if not _same_axes(shapes[node.name], whole_shape):
        return
    inputs = [_as_rows(edit, node.op, name, found, whole_shape, shapes, held) for name in names]
    if any(name is None for name in inputs):
        return
    given = [name for name in inputs if name is not None]
    bias = edit.constant(given[1]) if len(given) == 2 else None
    if node.op in ("BiasAdd", "AddV2", "Add") and bias is not None and bias.ndim == 1:
        attributes, op = {**FLOATS, "data_format": text("NHWC")}, "BiasAdd"
    else:
        attributes, op = {**FLOATS}, node.op
    lowered = edit.add(f"{node.name}/on_rows", op, given, attributes)
    _end_with_reshape(edit, node, _Rows(lowered.name, found.width, found.shape), held)


def _as_rows(edit: GraphEdit, kind: str, name: str, found: _Rows, whole_shape: tuple[int | None, ...], shapes: Shapes,
             held: dict[str, _Rows]) -> str | None:
    """An operand as rows, or None if it is no number per channel and no tensor of the same shape."""
    value = edit.constant(name)
    if value is not None:
        vector = _per_column(value, whole_shape, found.width)
        return None if vector is None else edit.add_constant(f"{name}/of_rows", vector)
    if not _same_axes(shapes.get(name, ()), whole_shape):
        return None
    if name in held:
        return held[name].rows if held[name].width == found.width else None
    if kind not in _RESIDUAL:
        return None
    wished = edit.add_constant(f"{name}/width", np.array([-1, found.width], np.int32))
    return str(edit.add(f"{name}/rows", "Reshape", [name, wished], RESHAPE).name)


def _per_column(value: Array, whole_shape: tuple[int | None, ...], width: int) -> Array | None:
    """A constant as a scalar or [width], or None if it is another one for other rows."""
    if value.size == 1:
        return value.reshape(()) if value.ndim <= len(whole_shape) else None
    sizes = list(value.shape)
    while sizes and sizes[0] == 1:
        del sizes[0]
    return value.reshape(-1) if value.size == width and sizes == list(whole_shape[-len(sizes):]) else None


def _same_axes(first: tuple[int | None, ...], second: tuple[int | None, ...]) -> bool:
    return len(first) > 1 and first == second


def _end_with_reshape(edit: GraphEdit, node: Any, rows: _Rows, held: dict[str, _Rows]) -> None:
    edit.become(node, "Reshape", [rows.rows, rows.shape], {"Tshape": number_type(tf.int32)})
    held[node.name] = rows
