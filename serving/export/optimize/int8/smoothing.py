"""What is multiplied in eight bits made even: each input is divided by a factor, which the weights take over.

Trained Transformers have a few channels whose values are a hundred times those of the others, and a range that covers
them leaves the others a few steps. Weights are even, and bear more (SmoothQuant, Xiao et al. 2023,
https://arxiv.org/abs/2211.10438). The result is the same graph in float32, except for the last digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.edit import GraphEdit, node_of
from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.int8.product_chains import Product, products_of
from serving.export.optimize.int8.products import signals_to_noise
from serving.export.optimize.passes.attributes import FLOATS
from serving.export.optimize.passes.linear import operands

# How much of the unevenness of what is multiplied the weights take over.
_STRENGTHS = (0.5, 0.8)
# A multiplication more is worth this much.
_LEAST_GAIN = 3.0
_ROWS_TO_CHOOSE_ON = 256
# Where all values of an input are 0, and where all its weights are.
_SMALLEST = 1e-5
_SCALED_THROUGH = frozenset({"", "Relu"})


def smoothing_factors(graph: ForwardGraph, products: Sequence[Product], calibration: Sequence[Mapping[str, Array]],
                      seen: Mapping[str, Array], clear: float) -> dict[str, Array]:
    """Chooses what to divide by, where that leaves the products clearly more of their signal.

    Args:
        graph: The graph.
        products: Of `products_of` for it.
        calibration: Sets of rows: arrays [N, ...] by pinned input name.
        seen: Rows [rows, inputs] of each source of a product that may be smoothed.
        clear: Decibels. What would stay in eight bits between two products, and would not for a multiplication, is only
            smoothed where a product is below that.

    Returns:
        float32 [inputs] by the source.
    """
    if not seen:
        return {}
    largest = _largest(graph, list(seen), calibration)
    hidden = {f"{product.end.name}:0" for product in products
              if product.addend is None and product.activation not in _SCALED_THROUGH}
    factors = {}
    for source, rows in seen.items():
        readers = [product for product in products if product.source == source]
        found = rows[::-(-len(rows) // _ROWS_TO_CHOOSE_ON) or 1]
        weights = np.max([np.abs(product.weights).max(axis=1) for product in readers], axis=0)
        ways = {0.0: _worst(readers, found, largest[source], np.ones_like(largest[source]))}
        made = {strength: _factors(largest[source], weights, strength) for strength in _STRENGTHS}
        ways |= {strength: _worst(readers, found, largest[source], made[strength]) for strength in _STRENGTHS}
        best = max(_STRENGTHS, key=lambda strength: ways[strength])
        if ways[best] >= ways[0.0] + _LEAST_GAIN and (source not in hidden or ways[0.0] < clear):
            factors[source] = made[best]
    return factors


def smoothed(graph: ForwardGraph, factors: Mapping[str, Array]) -> ForwardGraph:
    """Returns the graph with some of what its products multiply divided by factors, and weights multiplied by them.

    Args:
        graph: The graph.
        factors: float32 [inputs] by the source of the products.
    """
    edit = GraphEdit(graph)
    readers: dict[str, list[Product]] = {}
    for product in products_of(graph, edit):
        if product.source in factors:
            readers.setdefault(product.source, []).append(product)
    for source, products in readers.items():
        _divide(edit, source, products, factors[source].astype(np.float64))
        for product in products:
            _scale_weights(edit, product.node, factors[source].astype(np.float64))
    return edit.finished()


# === Choosing ===

def _factors(largest: Array, weights: Array, strength: float) -> Array:
    factors = np.maximum(largest, _SMALLEST)**strength / np.maximum(weights, _SMALLEST)**(1 - strength)
    # Around 1, so that ranges keep their size.
    even: Array = (factors / np.exp(np.log(factors).mean())).astype(np.float32)
    return even


def _worst(products: Sequence[Product], rows: Array, largest: Array, factors: Array) -> float:
    """The least signal over noise of what reads a tensor."""
    made, bound = rows / factors, float((largest / factors).max())
    found = (max(float(made.min()), -bound) if made.min() < 0 else 0.0, bound)
    return min(signals_to_noise(replace(product, weights=product.weights * factors[:, None]), made, [found])[0]
               for product in products)


def _largest(graph: ForwardGraph, tensors: Sequence[str],
             calibration: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The largest absolute value of each channel [inputs] of tensors [N, inputs], in all rows."""
    held = tf.Graph()
    with held.as_default():
        tf.graph_util.import_graph_def(graph.graph_def, name="")
        sizes = [tf.reduce_max(tf.abs(held.get_tensor_by_name(name)), axis=0) for name in tensors]
    present = {node.name for node in graph.graph_def.node}
    with tf.compat.v1.Session(graph=held) as session:
        runs = [session.run(sizes, {f"{graph.inputs[name]}:0": array for name, array in rows.items()
                                    if graph.inputs[name] in present})
                for rows in calibration if len(next(iter(rows.values())))]
    return {name: np.max(found, axis=0) for name, found in zip(tensors, zip(*runs, strict=True), strict=True)}


# === Writing ===

def _divide(edit: GraphEdit, source: str, products: Sequence[Product], factors: Array) -> None:
    """Divides what products read: in what computes it, if nothing else reads it, or by a multiplication."""
    node, own = edit.nodes[node_of(source)], {product.node.name for product in products}
    others = [reader for reader in edit.consumers(node) if reader.name not in own and reader.op != "Shape"]
    if not others and not edit.is_output(node) and _divide_inside(edit, node, factors):
        return
    inverse = edit.add_constant(f"{node.name}/smooth/inverse", (1 / factors).astype(np.float32))
    even = edit.add(f"{node.name}/smooth", "Mul", [source, inverse], FLOATS)
    for product in products:
        edit.set_inputs(product.node, [even.name, product.node.input[1]])


def _divide_inside(edit: GraphEdit, node: Any, factors: Array) -> bool:
    """Divides the constants that a tensor is made of: scale and offset of a layer normalisation, or a product's own."""
    places = _constants(edit, node, len(factors))
    for holder, place in places or ():
        value = edit.constant(holder.input[place])
        _replace(edit, holder, place, value / (factors[:, None] if _is_turned(holder) else factors))
    return bool(places)


def _constants(edit: GraphEdit, node: Any, width: int) -> list[tuple[Any, int]] | None:
    """The constants (node, input) that a tensor [..., width] is as many times as large as; None if there are others."""
    if node.op in ("Reshape", "Relu"):
        before = edit.source(node, 0)
        return _constants(edit, before, width) if _has_one_reader(edit, before) else None
    if node.op == "MatMul" and edit.constant(node.input[1]) is not None:
        value = edit.constant(node.input[1])
        channels = value.shape[0 if _is_turned(node) else 1] if value is not None and value.ndim == 2 else None
        return [(node, 1)] if channels == width else None
    found = operands(edit, node) if node.op in ("Mul", "AddV2", "Add", "BiasAdd") else None
    if found is None or found[1].size not in (1, width) or (found[1].size > 1 and found[1].shape[-1] != width):
        return None
    own = [(node, next(place for place, name in enumerate(node.input) if edit.constant(name) is not None))]
    if node.op == "Mul":
        return own
    before = _constants(edit, found[0], width) if _has_one_reader(edit, found[0]) else None
    return None if before is None else own + before


def _has_one_reader(edit: GraphEdit, node: Any) -> bool:
    """Whether one node alone takes a tensor's values."""
    return not edit.is_output(node) and sum(reader.op != "Shape" for reader in edit.consumers(node)) == 1


def _scale_weights(edit: GraphEdit, node: Any, factors: Array) -> None:
    value = edit.constant(node.input[1])
    _replace(edit, node, 1, value * (factors if _is_turned(node) else factors[:, None]))


def _replace(edit: GraphEdit, node: Any, place: int, value: Array) -> None:
    """Gives a node a constant of its own: others may take the one that it had."""
    constant = edit.add_constant(f"{node.name}/smooth/value", value.astype(np.float32))
    tensors = [name for name in node.input if not name.startswith("^")]
    edit.set_inputs(node, [*tensors[:place], constant, *tensors[place + 1:]])


def _is_turned(node: Any) -> bool:
    """Whether a product takes its weights [channels, inputs]. Asking for an attribute would add it."""
    return "transpose_b" in node.attr and bool(node.attr["transpose_b"].b)
