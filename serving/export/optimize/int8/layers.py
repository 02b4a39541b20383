"""Convolutions and what behind each of them TensorFlow's integer convolution takes in: bias, residual sum, ReLU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from serving.export.optimize.edit import GraphEdit, node_of
from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.passes.linear import ADDITIONS, channels_of, operands, per_channel, weight_of
from serving.export.optimize.passes.pads import zeros_around
from serving.export.optimize.passes.shapes import Shapes, static_shapes

DEPTHWISE = "DepthwiseConv2dNative"
_ACTIVATIONS = ("Relu", "Relu6")
# What else reads a tensor does so in float32, from a copy.
_READERS_OF_EIGHT_BITS = frozenset({"Conv2D", DEPTHWISE, "MaxPool", "AvgPool", "Pad", "PadV2", "ConcatV2"})


@dataclass(frozen=True)
class Layer:
    """A convolution with what follows it.

    Attributes:
        node: The Conv2D or DepthwiseConv2dNative.
        kernel: Its weights, float32.
        bias: float32 [channels].
        source: The name of the node whose first output it reads.
        padding: "SAME", "VALID" or "EXPLICIT".
        pads: Zeros before and after each axis of [N, H, W, C], for "EXPLICIT".
        summand: The name of the node whose first output is added; empty if none is.
        activation: "Relu", "Relu6" or empty.
        copies: Whether others read the summand as well, and may do so later: the sum is written over a copy then.
        end: The name of the node whose result is all that others read.
    """

    node: Any
    kernel: Array
    bias: Array
    source: str
    padding: str
    pads: tuple[int, ...]
    end: str
    summand: str = ""
    activation: str = ""
    copies: bool = False

    @property
    def depthwise(self) -> bool:
        """Whether each channel is convolved by itself."""
        return bool(self.node.op == DEPTHWISE)

    @property
    def pads_with_zeros(self) -> bool:
        """Whether zeros are read beyond the border."""
        same = self.padding == "SAME" and max(self.kernel.shape[:2]) > 1
        return same or any(self.pads)


def layers_of(graph: ForwardGraph) -> tuple[Layer, ...]:
    """The convolutions of a graph, in its order; each node belongs to at most one.

    Args:
        graph: The graph, each node behind what it takes.
    """
    edit, shapes = GraphEdit(graph), static_shapes(graph)
    places = {name: place for place, name in enumerate(edit.nodes)}
    found = {layer.end: layer for layer in _bare(edit, shapes)}
    taken: set[str] = set()
    # From the end: of two sums that read one tensor the later one can do with its memory as it likes.
    for addition in reversed([*edit.of_kind("AddV2", "Add")]):
        ways = [replace(layer, copies=layer.summand in taken or not _may_overwrite(edit, layer, found, places))
                for layer in _summed(edit, shapes, addition, found, places)]
        for layer in sorted(ways, key=lambda layer: layer.copies)[:1]:
            taken.add(layer.summand)
            found = {end: other for end, other in found.items() if other.node.name != layer.node.name}
            found[layer.end] = layer
    return tuple(sorted((_activated(edit, layer) for layer in found.values()), key=lambda layer: places[layer.end]))


def _bare(edit: GraphEdit, shapes: Shapes) -> Iterator[Layer]:
    """Convolutions with their bias; those in groups or with gaps are left out."""
    for node in edit.of_kind("Conv2D", DEPTHWISE):
        kernel = weight_of(edit, node)
        if kernel is None or set(node.attr["dilations"].list.i) - {1}:
            continue
        if shapes.get(node_of(node.input[0]), (None,))[-1] != kernel.shape[2] or ":" in node.input[0]:
            continue
        channels = channels_of(node, kernel)
        layer = Layer(node, kernel, np.zeros(channels, np.float32), node_of(node.input[0]),
                      node.attr["padding"].s.decode(), tuple(node.attr["explicit_paddings"].list.i), node.name)
        yield _biased(edit, _padded(edit, layer), channels)


def _padded(edit: GraphEdit, layer: Layer) -> Layer:
    """With zeros before it as its own padding."""
    source = edit.nodes[layer.source]
    widths = zeros_around(edit, source) if layer.padding == "VALID" else None
    if widths is None:
        return layer
    return replace(layer, source=node_of(source.input[0]), padding="EXPLICIT", pads=tuple(widths))


def _biased(edit: GraphEdit, layer: Layer, channels: int) -> Layer:
    reader = _only_reader(edit, layer.node)
    found = operands(edit, reader) if reader is not None and reader.op in ADDITIONS else None
    bias = per_channel(found[1], layer.node, channels) if found else None
    return layer if bias is None else replace(layer, bias=bias.astype(np.float32), end=reader.name)


def _summed(edit: GraphEdit, shapes: Shapes, addition: Any, found: Mapping[str, Layer],
            places: Mapping[str, int]) -> list[Layer]:
    """The ways to take a sum into one of the convolutions that it adds up, the last one first."""
    names = [node_of(name) for name in addition.input if not name.startswith("^")]
    if len(set(names)) != 2 or any(":" in name or edit.constant(name) is not None for name in addition.input):
        return []
    first, second = (shapes.get(name) for name in names)
    if first is None or len(first) != 4 or first != second or None in first[1:]:
        return []
    ways = [replace(found[name], summand=other, end=addition.name) for name, other in (names, reversed(names))
            if name in found and not found[name].summand and _only_reader(edit, edit.nodes[name]) is not None]
    return sorted(ways, key=lambda layer: -places[layer.node.name])


def _may_overwrite(edit: GraphEdit, layer: Layer, found: Mapping[str, Layer], places: Mapping[str, int]) -> bool:
    """Whether all else that reads the summand can be done with it before the sum is written over it.

    It has to: where the summand is still in use, TensorFlow's kernel ends the process.
    """
    if layer.summand == layer.source:
        return False
    ends = {name: other.end for other in found.values() for name in (other.node.name, node_of(other.node.input[0]))
            if name == other.node.name or name != other.source}  # through zeros of its own, too
    for reader in edit.consumers(edit.nodes[layer.summand]):
        later = places[ends.get(reader.name, reader.name)] > places[layer.end]
        if later and reader.op in _READERS_OF_EIGHT_BITS:
            return False
    return True


def _activated(edit: GraphEdit, layer: Layer) -> Layer:
    reader = _only_reader(edit, edit.nodes[layer.end])
    if reader is None or reader.op not in _ACTIVATIONS:
        return layer
    return replace(layer, activation=reader.op, end=reader.name)


def _only_reader(edit: GraphEdit, node: Any) -> Any:
    return edit.consumers(node)[0] if edit.has_one_consumer(node) else None

