"""GELU behind matrix products, written in the one way that TensorFlow joins with a product and its bias.

Keras writes the exact one through erfc, which computes five operations over the whole hidden layer.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serving.export.optimize.edit import GraphEdit
from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.int8.elementwise import activation_behind
from serving.export.optimize.passes.attributes import FLOATS

_CUBE = 0.044715


def write_gelus(graph: ForwardGraph) -> ForwardGraph:
    """Returns the graph with each GELU behind a bias in the form that is joined with what is before it."""
    edit = GraphEdit(graph)
    for bias in edit.of_kind("BiasAdd"):
        found = activation_behind(edit, bias) if edit.source(bias, 0).op == "MatMul" else None
        if found is None or not found[0].startswith("Gelu"):
            continue
        name, end = found
        inputs = _exact(edit, bias) if name == "GeluExact" else _approximate(edit, bias)
        edit.become(end, "Mul", inputs, {})
    return edit.finished()


def _exact(edit: GraphEdit, bias: Any) -> list[str]:
    """The factors of ((erf(sqrt(0.5) x) + 1) 0.5) x."""
    scaled = _two(edit, bias, "Mul", bias.name, _number(edit, bias, math.sqrt(0.5)))
    curve = edit.add(f"{bias.name}/erf", "Erf", [scaled], FLOATS).name
    more = _two(edit, bias, "AddV2", curve, _number(edit, bias, 1.0))
    return [_two(edit, bias, "Mul", more, _number(edit, bias, 0.5)), bias.name]


def _approximate(edit: GraphEdit, bias: Any) -> list[str]:
    """The factors of (1 + tanh(...)) (0.5 x).

    TensorFlow sorts factors by their names and then recognises only this order: "curve" stands before "half".
    """
    square = edit.add(f"{bias.name}/square", "Square", [bias.name], FLOATS).name
    cube = _two(edit, bias, "Mul", _two(edit, bias, "Mul", _number(edit, bias, _CUBE), bias.name), square)
    total = _two(edit, bias, "AddV2", bias.name, cube)
    scaled = _two(edit, bias, "Mul", _number(edit, bias, math.sqrt(2 / math.pi)), total)
    curve = edit.add(f"{bias.name}/tanh", "Tanh", [scaled], FLOATS).name
    return [_two(edit, bias, "AddV2", _number(edit, bias, 1.0), curve, "gelu/curve"),
            _two(edit, bias, "Mul", _number(edit, bias, 0.5), bias.name, "gelu/half")]


def _two(edit: GraphEdit, bias: Any, op: str, first: str, second: str, name: str = "gelu") -> str:
    return str(edit.add(f"{bias.name}/{name}", op, [first, second], FLOATS).name)


def _number(edit: GraphEdit, bias: Any, value: float) -> str:
    return edit.add_constant(f"{bias.name}/number", np.array(value, np.float32))
