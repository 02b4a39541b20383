"""Matrix products with constant weights, and what behind them TensorFlow's integer product takes in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.edit import GraphEdit, node_of
from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.int8.elementwise import activation_behind
from serving.export.optimize.passes.linear import operands, per_channel, weight_of

# A smaller product takes less time than the rounding of what goes into it.
SMALLEST_WEIGHTS = 16384


@dataclass(frozen=True)
class Product:
    """A product, and what follows it.

    Attributes:
        node: The MatMul.
        source: The tensor [N, inputs] that is multiplied, as "node:place" of the graph that was given.
        weights: float32 [inputs, channels].
        bias: float32 [channels].
        activation: The name of the activation, as TensorFlow's fused products call it; empty if there is none.
        addend: Which input of the end is added, a tensor [N, channels]; None if there is none.
        end: The node whose result is all that the others read.
    """

    node: Any
    source: str
    weights: Array
    bias: Array
    activation: str
    addend: int | None
    end: Any


def products_of(graph: ForwardGraph, edit: GraphEdit) -> list[Product]:
    """The products of a graph that are worth eight bits, in its order; each node belongs to at most one.

    Args:
        graph: The graph.
        edit: One of the same graph.
    """
    shapes = _shapes(graph)
    found, taken = [], set[str]()
    for node in edit.of_kind("MatMul"):
        weights = weight_of(edit, node)
        if weights is None or weights.ndim != 2 or weights.size < SMALLEST_WEIGHTS or _flag(node, "transpose_a"):
            continue
        product = _chain(edit, shapes, node, weights.T if _flag(node, "transpose_b") else weights, taken)
        taken.add(product.end.name)
        found.append(product)
    return found


def _chain(edit: GraphEdit, shapes: dict[str, Any], node: Any, weights: Array, taken: set[str]) -> Product:
    source, end, bias = _whole(node.input[0]), node, np.zeros(weights.shape[1], np.float32)
    biased = _only_reader(edit, node)
    if biased is not None and biased.op in ("BiasAdd", "AddV2", "Add"):
        found = operands(edit, biased)
        value = per_channel(found[1], node, weights.shape[1]) if found else None
        if value is not None:
            end, bias = biased, value.astype(np.float32)
    activated = activation_behind(edit, end)
    if activated is not None:
        return Product(node, source, weights, bias, activated[0], None, activated[1])
    summed = _only_reader(edit, end)
    if summed is not None and summed.op in ("AddV2", "Add") and summed.name not in taken:
        others = [place for place, name in enumerate(summed.input) if node_of(name) != end.name]
        if len(others) == 1 and _same_shape(shapes, _whole(summed.input[others[0]]), f"{node.name}:0"):
            return Product(node, source, weights, bias, "", others[0], summed)
    return Product(node, source, weights, bias, "", None, end)


def _only_reader(edit: GraphEdit, node: Any) -> Any:
    return edit.consumers(node)[0] if edit.has_one_consumer(node) else None


def _same_shape(shapes: dict[str, Any], first: str, second: str) -> bool:
    """Whether two tensors [N, channels] are of one shape as far as is known; the channels always are."""
    one, other = shapes.get(first), shapes.get(second)
    if one is None or other is None or one.rank != 2 or other.rank != 2 or one[1] != other[1] or one[1] is None:
        return False
    return bool(one[0] == other[0])


def _whole(tensor: str) -> str:
    return tensor if ":" in tensor else f"{tensor}:0"


def _shapes(graph: ForwardGraph) -> dict[str, Any]:
    held = tf.Graph()
    with held.as_default():
        tf.graph_util.import_graph_def(graph.graph_def, name="")
    return {tensor.name: tensor.shape for operation in held.get_operations() for tensor in operation.outputs}


def _flag(node: Any, name: str) -> bool:
    """An attribute that may be absent; asking for it directly would add it."""
    return name in node.attr and bool(node.attr[name].b)
