"""What the passes over convolutions and matrix products share: where the channels are, and what is added to them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.export.optimize.edit import GraphEdit

Array = NDArray[Any]

CONVOLUTIONS = frozenset({"Conv2D", "DepthwiseConv2dNative"})
LINEAR = CONVOLUTIONS | {"MatMul"}
ADDITIONS = frozenset({"AddV2", "Add", "BiasAdd"})


def weight_of(edit: GraphEdit, node: Any) -> Array | None:
    """The constant float32 weights of a convolution or matrix product whose channels are the last axis, or None."""
    if node.op not in LINEAR or (node.op in CONVOLUTIONS and node.attr["data_format"].s not in (b"", b"NHWC")):
        return None
    value = edit.constant(node.input[1])
    return value if value is not None and value.dtype == np.float32 else None


def channels_of(node: Any, weight: Array) -> int:
    """How many channels come out."""
    if node.op == "DepthwiseConv2dNative":
        return int(weight.shape[2] * weight.shape[3])
    return int(weight.shape[0] if _transposed(node) else weight.shape[-1])


def scaled(node: Any, weight: Array, scale: Array) -> Array:
    """Weights that give each channel times a factor.

    Args:
        node: The convolution or product.
        weight: Its weights.
        scale: Factors [channels].
    """
    if node.op == "DepthwiseConv2dNative":
        factors = scale.reshape(weight.shape[2:])
    else:
        factors = scale[:, None] if _transposed(node) else scale
    return (weight.astype(np.float64) * factors).astype(np.float32)


def per_channel(value: Array | None, node: Any, channels: int) -> Array | None:
    """A constant that is combined with a node's result as one float64 number per channel, or None if it is no such.

    Args:
        value: The constant; None is none.
        node: The convolution or product.
        channels: How many it has.
    """
    rank = 2 if node.op == "MatMul" else 4
    if value is None or value.dtype != np.float32 or value.ndim > rank or value.size not in (1, channels):
        return None
    if value.size > 1 and value.shape[-1] != channels:
        return None
    return np.broadcast_to(value.reshape(-1), (channels,)).astype(np.float64)


def operands(edit: GraphEdit, node: Any) -> tuple[Any, Array] | None:
    """(the node that is computed, the constant) of an operation on two tensors of which one is constant, or None."""
    for computed, other in ((0, 1), (1, 0)):
        value = edit.constant(node.input[other])
        if value is not None and edit.constant(node.input[computed]) is None:
            return edit.source(node, computed), value
    return None


def _transposed(node: Any) -> bool:
    """Whether a matrix product takes its weights [channels, inputs]. Asking for an attribute would add it."""
    return "transpose_b" in node.attr and bool(node.attr["transpose_b"].b)
