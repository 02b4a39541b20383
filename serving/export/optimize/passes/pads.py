"""Zeros around a picture as the padding of the convolution that reads them, so that no padded copy is made.

A depthwise convolution takes only what "SAME" would pad; with explicit padding TensorFlow ends the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serving.export.optimize.edit import GraphEdit, node_of
from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.passes.shapes import static_shapes


def merge_pads(graph: ForwardGraph) -> ForwardGraph:
    """Returns the graph with each zero padding merged into the unpadded convolutions behind it."""
    edit, shapes = GraphEdit(graph), static_shapes(graph)
    for node in edit.of_kind("Conv2D"):
        if node.attr["padding"].s != b"VALID" or node.attr["data_format"].s not in (b"", b"NHWC"):
            continue
        pad = edit.source(node, 0)
        widths = zeros_around(edit, pad)
        if widths is not None:
            node.attr["padding"].s = b"EXPLICIT"
            node.attr["explicit_paddings"].list.i[:] = widths
            edit.set_inputs(node, [pad.input[0], node.input[1]])
    for node in edit.of_kind("DepthwiseConv2dNative"):
        pad = edit.source(node, 0)
        widths = zeros_around(edit, pad) if node.attr["padding"].s == b"VALID" else None
        if widths is not None and _is_same_padding(edit, node, widths, shapes.get(node_of(pad.input[0]), ())):
            node.attr["padding"].s = b"SAME"
            edit.set_inputs(node, [pad.input[0], node.input[1]])
    return edit.finished()


def _is_same_padding(edit: GraphEdit, node: Any, widths: list[int], shape: Sequence[int | None]) -> bool:
    """Whether "SAME" pads a picture [N, H, W, C] by these widths."""
    weight, strides = edit.constant(node.input[1]), list(node.attr["strides"].list.i)
    dilated = any(rate != 1 for rate in node.attr["dilations"].list.i)
    if weight is None or len(shape) != 4 or dilated or node.attr["data_format"].s not in (b"", b"NHWC"):
        return False
    for axis in (1, 2):
        size, stride = shape[axis], strides[axis]
        if size is None:
            return False
        total = max((-(-size // stride) - 1) * stride + weight.shape[axis - 1] - size, 0)
        if widths[2 * axis:2 * axis + 2] != [total // 2, total - total // 2]:
            return False
    return True


def zeros_around(edit: GraphEdit, pad: Any) -> list[int] | None:
    """Before and after each axis of [N, H, W, C]; None if it is no padding of H and W with zeros."""
    if pad.op not in ("Pad", "PadV2"):
        return None
    widths = edit.constant(pad.input[1])
    if widths is None or widths.shape != (4, 2) or widths[0].any() or widths[3].any():
        return None
    filling = edit.constant(pad.input[2]) if pad.op == "PadV2" else 0.0
    if filling is None or filling != 0:
        return None
    return [int(width) for width in widths.reshape(-1)]
