"""Which activation a handful of element-wise operations is, told by what they give rather than by how they are written.

GELU alone has half a dozen forms: with erf, with erfc, with tanh, with powers or products.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from serving.export.optimize.edit import GraphEdit, node_of
from serving.export.optimize.graph import Array

# More operations than any activation is made of.
_MOST_NODES = 12
_SAMPLES = np.concatenate([np.linspace(-9, 9, 181), np.linspace(-1, 1, 41)])
_CLOSE = 1e-5

_erf = np.vectorize(math.erf, otypes=[np.float64])
_ROOT = math.sqrt(2 / math.pi)

_OPERATIONS: Mapping[str, Callable[..., Array]] = MappingProxyType({
    "Mul": np.multiply, "AddV2": np.add, "Add": np.add, "Sub": np.subtract, "RealDiv": np.divide, "Neg": np.negative,
    "Square": np.square, "Pow": np.power, "Identity": np.array, "Tanh": np.tanh, "Erf": _erf, "Elu": lambda x: _elu(x),
    "Erfc": lambda x: 1 - _erf(x), "Relu": lambda x: np.maximum(x, 0), "Relu6": lambda x: np.clip(x, 0, 6),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)), "Maximum": np.maximum, "Minimum": np.minimum})


def _elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


# By the names that TensorFlow's fused products have for them.
_ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = MappingProxyType({
    "Relu": lambda x: np.maximum(x, 0), "Relu6": lambda x: np.clip(x, 0, 6), "Elu": _elu, "Tanh": np.tanh,
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)), "GeluExact": lambda x: x * 0.5 * (1 + _erf(x / math.sqrt(2))),
    "GeluApproximate": lambda x: 0.5 * x * (1 + np.tanh(_ROOT * (x + 0.044715 * x**3)))})


def activation_behind(edit: GraphEdit, node: Any) -> tuple[str, Any] | None:
    """The activation that is all that reads a node.

    Args:
        edit: The graph.
        node: What is activated.

    Returns:
        (its name, the node that ends it), or None where there is none that TensorFlow's products can take in.
    """
    members = {node.name: _SAMPLES}
    while len(members) <= _MOST_NODES:
        ends = [name for name in members if name != node.name and _leaves(edit, name, members)]
        if ends == [_last(members)] and not _leaves(edit, node.name, members):
            known = _known(members[ends[0]])
            if known is not None:
                return known, edit.nodes[ends[0]]
        added = next((value for name in members for reader in edit.consumers(edit.nodes[name])
                      if reader.name not in members and (value := _computed(edit, reader, members)) is not None), None)
        if added is None:
            return None
        members[added[0]] = added[1]
    return None


def _last(members: Mapping[str, Array]) -> str:
    return list(members)[-1]


def _leaves(edit: GraphEdit, name: str, members: Mapping[str, Array]) -> bool:
    """Whether anybody beside the members takes what a member computes."""
    node = edit.nodes[name]
    return edit.is_output(node) or any(reader.name not in members for reader in edit.consumers(node))


def _computed(edit: GraphEdit, node: Any, members: Mapping[str, Array]) -> tuple[str, Array] | None:
    """(name, what it gives for the samples) of an element-wise operation on members and single numbers."""
    if node.op not in _OPERATIONS or any(name.startswith("^") for name in node.input):
        return None
    values: list[Array] = []
    for name in node.input:
        value = members.get(node_of(name))
        if value is None:
            constant = edit.constant(name)
            if constant is None or constant.size != 1 or constant.dtype != np.float32:
                return None
            value = constant.astype(np.float64).reshape(())
        values.append(value)
    with np.errstate(all="ignore"):
        return node.name, np.asarray(_OPERATIONS[node.op](*values))


def _known(values: Array) -> str | None:
    if values.shape != _SAMPLES.shape or not np.isfinite(values).all():
        return None
    return next((name for name, function in _ACTIVATIONS.items()
                 if np.abs(function(_SAMPLES) - values).max() < _CLOSE), None)
