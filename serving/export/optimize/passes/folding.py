"""Batch normalisation and other factors per channel, multiplied into the weights before them.

Keras exports batch normalisation as a product and a sum. Behind a convolution or a matrix product, with or without a
bias, both become part of its weights and its bias; the products are computed in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serving.export.optimize.edit import GraphEdit
from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.passes.linear import (
    ADDITIONS,
    Array,
    channels_of,
    operands,
    per_channel,
    scaled,
    weight_of,
)


def fold(graph: ForwardGraph) -> ForwardGraph:
    """Returns the graph with every factor and summand per channel folded that can be."""
    edit = GraphEdit(graph)
    while any([*(_fold_factor(edit, node) for node in edit.of_kind("Mul")),
               *(_fold_sum(edit, node) for node in edit.of_kind(*ADDITIONS))]):
        pass
    return edit.finished()


def _fold_factor(edit: GraphEdit, node: Any) -> bool:
    """Multiplies the factor of a Mul into the weights, and the bias, before it."""
    found = operands(edit, node)
    before = _linear(edit, found[0]) if found else None
    if found is None or before is None:
        return False
    linear, weight, addition = before
    factor = per_channel(found[1], linear, channels_of(linear, weight))
    if factor is None:
        return False
    if addition is not None:
        summand = _summand(edit, addition, linear, weight)
        if summand is None:
            return False
        _set_constant(edit, addition, linear, summand * factor, f"{addition.name}/folded")
    name = edit.add_constant(f"{linear.name}/folded", scaled(linear, weight, factor))
    edit.set_inputs(linear, [linear.input[0], name])
    edit.bypass(node, found[0].name)
    return True


def _fold_sum(edit: GraphEdit, node: Any) -> bool:
    """Adds the summand of a sum to that of the sum before it."""
    found = operands(edit, node)
    before = _linear(edit, found[0]) if found else None
    if found is None or before is None or before[2] is None:
        return False
    linear, weight, addition = before
    first = _summand(edit, addition, linear, weight)
    second = per_channel(found[1], linear, channels_of(linear, weight))
    if first is None or second is None:
        return False
    _set_constant(edit, addition, linear, first + second, f"{addition.name}/folded")
    edit.bypass(node, addition.name)
    return True


def _linear(edit: GraphEdit, node: Any) -> tuple[Any, Array, Any] | None:
    """(linear node, weights, the addition behind it or None) where a node ends such a chain that nothing else reads."""
    addition = None
    if node.op in ADDITIONS and edit.has_one_consumer(node):
        found = operands(edit, node)
        if found is None:
            return None
        addition, node = node, found[0]
    weight = weight_of(edit, node)
    return (node, weight, addition) if weight is not None and edit.has_one_consumer(node) else None


def _summand(edit: GraphEdit, addition: Any, linear: Any, weight: Array) -> Array | None:
    found = operands(edit, addition)
    return per_channel(found[1], linear, channels_of(linear, weight)) if found else None


def _set_constant(edit: GraphEdit, addition: Any, linear: Any, value: Array, name: str) -> None:
    edit.set_inputs(addition, [linear.name, edit.add_constant(name, value.astype(np.float32))])
