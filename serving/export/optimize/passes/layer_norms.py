"""Layer normalisation written so that TensorFlow computes it in one operation.

Keras writes it as ten operations. The form that is joined into one is batch normalisation in training mode over the
transposed rows: mean and variance of a row are those of a "channel". TensorFlow has a second form that it would join,
with Rsqrt, but forgets the epsilon of it and takes 0.001.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.edit import GraphEdit, node_of
from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.passes.attributes import (
    FIRST,
    FLOATS,
    RESHAPE,
    SHAPE,
    flag,
    number_type,
    real,
    text,
    whole,
    wholes,
)
from serving.export.optimize.passes.shapes import Shapes, static_shapes

_SUMS = frozenset({"AddV2", "Add", "AddN", "Sub"})
_UNCHANGED = frozenset({"Identity", "StopGradient"})


@dataclass(frozen=True)
class _LayerNorm:
    """One that was found: `tensor` [..., width] is normalised, and `end` gives the result."""

    end: Any
    tensor: str
    epsilon: float
    gamma: Array
    beta: Array


def write_layer_norms(graph: ForwardGraph) -> ForwardGraph:
    """Returns the graph with each layer normalisation over the last axis in that form."""
    edit, shapes = GraphEdit(graph), static_shapes(graph)
    for root in edit.of_kind("Rsqrt"):
        found = _layer_norm(edit, root, shapes)
        if found is not None:
            _write(edit, found, shapes)
    return edit.finished()


# === Finding ===

def _layer_norm(edit: GraphEdit, root: Any, shapes: Shapes) -> _LayerNorm | None:
    variance, epsilon = _computed_and_constant(edit, edit.source(root, 0), ("AddV2", "Add"))
    if variance is None or epsilon is None or epsilon.size != 1:
        return None
    deviation = _mean_of(edit, variance, shapes)
    if deviation is None or deviation.op != "SquaredDifference":
        return None
    tensor, mean = deviation.input[0], _unchanged(edit, edit.source(deviation, 1))
    width = shapes.get(node_of(tensor), (None,))[-1]
    if width is None or mean.op != "Mean" or mean.input[0] != tensor or _mean_of(edit, mean, shapes) is None:
        return None
    scale, gamma = _scale(edit, root, width)
    end, beta = _end(edit, scale, tensor, mean, width) if scale is not None else (None, None)
    if end is None or beta is None or shapes.get(end.name) != shapes[node_of(tensor)]:
        return None
    return _LayerNorm(end, tensor, float(epsilon.reshape(-1)[0]), gamma, beta)


def _mean_of(edit: GraphEdit, node: Any, shapes: Shapes) -> Any | None:
    """What a Mean takes, if it is one over the last axis that keeps it."""
    if node.op != "Mean" or not node.attr["keep_dims"].b:
        return None
    axes, rank = edit.constant(node.input[1]), len(shapes.get(node_of(node.input[0]), ()))
    return edit.source(node, 0) if axes is not None and list(axes.reshape(-1) % max(rank, 1)) == [rank - 1] else None


def _scale(edit: GraphEdit, root: Any, width: int) -> tuple[Any | None, Array]:
    """(what the rows are multiplied with, gamma); the node is None where it is something else."""
    ones = np.ones(width, np.float32)
    readers = edit.consumers(root)
    if len(readers) != 1:
        return root, ones
    other, gamma = _computed_and_constant(edit, readers[0], ("Mul",))
    if other is None or gamma is None:
        return None, ones
    vector = _vector(gamma, width)
    return (None, ones) if vector is None else (readers[0], vector)


def _end(edit: GraphEdit, scale: Any, tensor: str, mean: Any, width: int) -> tuple[Any | None, Array | None]:
    """(the node that sums up the normalised rows, beta)."""
    readers = edit.consumers(scale)
    rows = [node for node in readers if node.op == "Mul" and tensor in node.input]
    if len(rows) != 1 or len(readers) != 2:
        return None, None
    node, best = rows[0], None
    # All constants of the sum belong to beta: one left behind would be mistaken for it.
    while edit.has_one_consumer(node) and edit.consumers(node)[0].op in _SUMS:
        node = edit.consumers(node)[0]
        beta = _beta(edit, node, rows[0], (mean, scale), width)
        best = best if beta is None else (node, beta)
    return best or (None, None)


def _beta(edit: GraphEdit, node: Any, rows: Any, mean_and_scale: tuple[Any, Any], width: int) -> Array | None:
    """The constant part of a sum that is otherwise rows - mean x scale, or None if it is none."""
    terms = list(_terms(edit, node, 1))
    others = [(name, sign) for name, sign, value in terms if value is None and name != rows.name]
    vectors = [_vector(sign * value, width) for _, sign, value in terms if value is not None]
    constants = [vector for vector in vectors if vector is not None]
    if len(others) != 1 or (rows.name, 1, None) not in terms or len(constants) != len(vectors):
        return None
    name, sign = others[0]
    if sign * _sign_of_mean(edit, edit.nodes[name], *mean_and_scale) != -1:
        return None
    return np.asarray(sum(constants, np.zeros(width)), np.float32)


def _terms(edit: GraphEdit, node: Any, sign: int) -> Iterator[tuple[str, int, Array | None]]:
    """The summands of a sum that nothing else reads: (node, 1 or -1, its value if it is constant)."""
    for place, name in enumerate(tensor for tensor in node.input if not tensor.startswith("^")):
        own = -sign if node.op == "Sub" and place == 1 else sign
        value, source = edit.constant(name), edit.source(node, place)
        if value is None and source.op in _SUMS and edit.has_one_consumer(source):
            yield from _terms(edit, source, own)
        else:
            yield source.name, own, value


def _sign_of_mean(edit: GraphEdit, node: Any, mean: Any, scale: Any) -> int:
    """1 for mean x scale, -1 for the negative of it, 0 for anything else."""
    sign = 1
    if node.op == "Neg":
        node, sign = edit.source(node, 0), -sign
    if node.op != "Mul":
        return 0
    factors = [_unchanged(edit, edit.source(node, place)) for place in (0, 1)]
    others = [factor for factor in factors if factor.name != scale.name]
    if len(others) != 1:
        return 0
    if others[0].op == "Neg":
        others, sign = [_unchanged(edit, edit.source(others[0], 0))], -sign
    return sign if others[0].name == mean.name else 0


def _unchanged(edit: GraphEdit, node: Any) -> Any:
    while node.op in _UNCHANGED:
        node = edit.source(node, 0)
    return node


def _computed_and_constant(edit: GraphEdit, node: Any, ops: tuple[str, ...]) -> tuple[Any | None, Array | None]:
    if node.op in ops:
        for computed, other in ((0, 1), (1, 0)):
            value = edit.constant(node.input[other])
            if value is not None and value.dtype == np.float32 and edit.constant(node.input[computed]) is None:
                return edit.source(node, computed), value
    return None, None


def _vector(value: Array, width: int) -> Array | None:
    """A constant as [width], or None if it differs along another axis."""
    if value.size not in (1, width) or (value.size > 1 and value.shape[-1] != width):
        return None
    return np.broadcast_to(value.reshape(-1), (width,)).astype(np.float32)


# === Writing ===

def _write(edit: GraphEdit, found: _LayerNorm, shapes: Shapes) -> None:
    name, width = found.end.name, len(found.gamma)
    rank = len(shapes[node_of(found.tensor)])
    rows = _rows(edit, found, shapes)
    shape = _add(edit, name, "Shape", [rows], SHAPE)
    count = _add(edit, name, "StridedSlice", [shape, *(_ints(edit, name, number) for number in (0, 1, 1))], FIRST)
    turned = _add(edit, name, "ConcatV2", [_ints(edit, name, 1), count, _ints(edit, name, width, 1),
                                           edit.add_constant(f"{name}/axis", np.array(0, np.int32))],
                  {"T": number_type(tf.int32), "N": whole(3), "Tidx": number_type(tf.int32)})
    empty = edit.add_constant(f"{name}/empty", np.zeros(0, np.float32))
    normal = _add(edit, name, "FusedBatchNormV3",
                  [_add(edit, name, "Reshape", [rows, turned], RESHAPE), _filled(edit, name, count, 1.0),
                   _filled(edit, name, count, 0.0), empty, empty],
                  {"T": number_type(), "U": number_type(), "epsilon": real(found.epsilon), "is_training": flag(True),
                   "data_format": text("NCHW"), "exponential_avg_factor": real(1.0)})
    normal = _add(edit, name, "Reshape", [normal, shape], RESHAPE)
    scaled = _add(edit, name, "Mul", [normal, edit.add_constant(f"{name}/gamma", found.gamma)], FLOATS)
    beta = edit.add_constant(f"{name}/beta", found.beta)
    if rank == 2:
        edit.become(found.end, "AddV2", [beta, scaled], {})
        return
    result = _add(edit, name, "AddV2", [beta, scaled], FLOATS)
    edit.become(found.end, "Reshape", [result, _add(edit, name, "Shape", [found.tensor], SHAPE)],
                {"Tshape": number_type(tf.int32)})


def _rows(edit: GraphEdit, found: _LayerNorm, shapes: Shapes) -> str:
    """What is normalised as [P, width]."""
    source, name, width = edit.nodes[node_of(found.tensor)], found.end.name, len(found.gamma)
    if len(shapes[source.name]) == 2:
        return found.tensor
    if source.op == "Reshape" and shapes.get(node_of(source.input[0]), ())[1:] == (width,):
        return str(source.input[0])
    # A reshape alone would be joined with the next one, and only rows and sequences become one operation.
    longer = _add(edit, name, "Reshape", [found.tensor, _ints(edit, name, -1, width, 1)], RESHAPE)
    return _add(edit, name, "Squeeze", [longer], {"T": number_type(), "squeeze_dims": wholes(2)})


def _filled(edit: GraphEdit, name: str, count: str, value: float) -> str:
    return _add(edit, name, "Fill", [count, edit.add_constant(f"{name}/value", np.array(value, np.float32))],
                {"T": number_type(), "index_type": number_type(tf.int32)})


def _add(edit: GraphEdit, name: str, op: str, inputs: list[str], attributes: Any) -> str:
    return str(edit.add(f"{name}/{op.lower()}", op, inputs, attributes).name)


def _ints(edit: GraphEdit, name: str, *values: int) -> str:
    return edit.add_constant(f"{name}/numbers", np.array(values, np.int32))
