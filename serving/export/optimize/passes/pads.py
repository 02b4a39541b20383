"""Zeros around a picture as the padding of the convolution that reads them, so that no padded copy is made.

Depthwise convolutions are left out: TensorFlow ends the process over one with explicit padding.
"""

from __future__ import annotations

from typing import Any

from serving.export.optimize.edit import GraphEdit
from serving.export.optimize.graph import ForwardGraph


def merge_pads(graph: ForwardGraph) -> ForwardGraph:
    """Returns the graph with each zero padding merged into the unpadded convolutions behind it."""
    edit = GraphEdit(graph)
    for node in edit.of_kind("Conv2D"):
        if node.attr["padding"].s != b"VALID" or node.attr["data_format"].s not in (b"", b"NHWC"):
            continue
        pad = edit.source(node, 0)
        widths = zeros_around(edit, pad)
        if widths is not None:
            node.attr["padding"].s = b"EXPLICIT"
            node.attr["explicit_paddings"].list.i[:] = widths
            edit.set_inputs(node, [pad.input[0], node.input[1]])
    return edit.finished()


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
