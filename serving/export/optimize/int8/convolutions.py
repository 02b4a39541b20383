"""Convolutions in eight bits, with as few ways there and back as the graph allows.

A layer's result stays in eight bits for the layers, poolings, pads and concatenations that read it; whatever else
reads it gets a float32 copy under the old name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from serving.export.optimize.edit import GraphEdit, node_of
from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.int8.grids import Grid
from serving.export.optimize.int8.layers import Layer
from serving.export.optimize.int8.nodes import (
    Stored,
    become_float,
    convolution,
    copied,
    joined,
    padded,
    pooled,
    quantized,
    signed,
)
from serving.export.optimize.passes.pads import zeros_around

Ranges = Mapping[str, tuple[float, float]]
_POOLS = ("MaxPool", "AvgPool")


def tensors_of(layers: Sequence[Layer]) -> list[str]:
    """The names of the nodes whose ranges `in_eight_bits` has to know."""
    return list(dict.fromkeys(name for layer in layers for name in (layer.source, layer.summand, layer.end) if name))


def in_eight_bits(graph: ForwardGraph, layers: Sequence[Layer], ranges: Ranges) -> ForwardGraph:
    """Returns the graph with some of its layers in eight bits.

    Args:
        graph: The graph.
        layers: Of `layers_of` for the same graph.
        ranges: (low, high) of what `tensors_of` names, and of what passes between layers.
    """
    writer = _Writer(graph, layers, ranges)
    writer.write()
    return writer.edit.finished()


def side_by_side(graph: ForwardGraph, layers: Sequence[Layer], ranges: Ranges) -> tuple[ForwardGraph, dict[str, str]]:
    """The graph with each layer once more in eight bits beside itself, reading the float32 tensors that it reads.

    Returns:
        The graph; the names of the nodes that give float32 copies of those results by the layers' ends.
    """
    copies = {layer.end: f"{layer.end}/beside" for layer in layers}
    edit = GraphEdit(replace(graph, outputs=(*graph.outputs, *(f"{name}:0" for name in copies.values()))))
    for layer in layers:
        source = quantized(edit, f"{layer.end}/source", layer.source, Grid.over(*ranges[layer.source]))
        grid = Grid.over(*_range_of(layer, ranges), shifted=bool(layer.summand))
        summand = None
        if layer.summand:
            rounded = quantized(edit, f"{layer.end}/summand", layer.summand,
                                Grid.over(*ranges[layer.summand], shifted=True))
            # Equal nodes are joined, and the sum needs one that is its own.
            summand = copied(edit, f"{layer.end}/summand", rounded)
        # Any node will do for what becomes the copy.
        made = convolution(edit, layer, source, grid, summand)
        become_float(edit, edit.add(copies[layer.end], "NoOp", [], {}), made)
    return edit.finished(), copies


class _Writer:
    """Writes the nodes of eight bits in the graph's order.

    Args:
        graph: The graph.
        layers: The layers.
        ranges: Of their tensors.
    """

    def __init__(self, graph: ForwardGraph, layers: Sequence[Layer], ranges: Ranges) -> None:
        self.edit = GraphEdit(graph)
        self._layers = {layer.end: layer for layer in layers}
        self._summands = {layer.summand for layer in layers if layer.summand}
        self._ranges = ranges
        self._original = GraphEdit(graph)
        self._inside = set(_inside(self._original, layers))
        self._carriers = _carriers(self._original, self._layers, ranges)
        self._grids = self._chosen_grids()
        self._stored: dict[str, Stored] = {}
        self._signed: dict[str, Stored] = {}
        # What reads a tensor in eight bits, and what writes its sum over one.
        self._readers: dict[str, list[str]] = {}
        self._overwriting: dict[str, str] = {}

    def write(self) -> None:
        """Writes every layer, and what carries eight bits from one to the next."""
        for name, node in self._original.nodes.items():
            if name in self._layers:
                self._keep(node, self._layer(self._layers[name]))
            elif name in self._carriers:
                self._keep(node, self._carried(node))
        for name, writing in self._overwriting.items():
            node = self.edit.nodes[writing]
            before = [f"^{reader}" for reader in self._readers.get(name, ())]
            self.edit.set_inputs(node, [*node.input, *before])

    def _keep(self, node: Any, stored: Stored) -> None:
        self._stored[node.name] = stored
        become_float(self.edit, self.edit.nodes[node.name], stored)
        others = {reader.name for reader in self._original.consumers(node)} - self._inside - set(self._carriers)
        if others or self._original.is_output(node):
            self._readers.setdefault(node.name, []).append(node.name)

    def _layer(self, layer: Layer) -> Stored:
        source = self._read(layer.source)
        if layer.pads_with_zeros and source.grid.zero:
            source = self._signed_copy(layer.source, source)
            made = convolution(self.edit, layer, source, self._grids[layer.end], self._summand(layer))
        else:
            made = convolution(self.edit, layer, source, self._grids[layer.end], self._summand(layer))
            self._readers.setdefault(layer.source, []).append(made.tensor)
        if layer.summand and not layer.copies:
            self._overwriting[layer.summand] = made.tensor
        return made

    def _summand(self, layer: Layer) -> Stored | None:
        if not layer.summand:
            return None
        stored = self._read(layer.summand)
        if not layer.copies:
            return stored
        copy = copied(self.edit, f"{layer.end}/summand", stored)
        self._readers.setdefault(layer.summand, []).append(node_of(self.edit.nodes[copy.tensor].input[0]))
        return copy

    def _read(self, name: str) -> Stored:
        """A tensor in eight bits; one that stands in float32 is rounded once for all that read it."""
        if name not in self._stored:
            self._stored[name] = quantized(self.edit, name, name, self._grids[name], own=name in self._summands)
        return self._stored[name]

    def _signed_copy(self, name: str, stored: Stored) -> Stored:
        if name not in self._signed:
            self._signed[name] = signed(self.edit, f"{name}/signed", stored)
            copy = self.edit.nodes[self._signed[name].tensor]
            self._readers.setdefault(name, []).append(node_of(copy.input[0]))
        return self._signed[name]

    def _carried(self, node: Any) -> Stored:
        sources = [node_of(name) for name in _carried_by(node)]
        parts = [self._stored[name] for name in sources]
        if node.op in _POOLS:
            made = pooled(self.edit, node, parts[0])
        elif node.op == "ConcatV2":
            made = joined(self.edit, node, parts)
        else:
            made = padded(self.edit, node, parts[0])
        for name in sources:
            # What lies between shares the memory of the tensor, so the bytes are read where they are copied.
            reader = made.tensor if node.op in _POOLS else node_of(self.edit.nodes[made.tensor].input[0])
            self._readers.setdefault(name, []).append(reader)
        return made

    # === Grids ===

    def _chosen_grids(self) -> dict[str, Grid]:
        """By the names of layers' ends and of float32 tensors that layers read; one for all that are joined."""
        groups = self._groups()
        grids = {}
        for members in groups.values():
            found = [_range_of(self._layers[name], self._ranges) for name in members if name in self._layers]
            shifted = any(name in self._summands or (name in self._layers and self._layers[name].summand)
                          for name in members)
            grid = Grid.over(min(low for low, _ in found), max(high for _, high in found), shifted=shifted)
            grids.update(dict.fromkeys(members, grid))
        read = dict.fromkeys(name for layer in self._layers.values() for name in (layer.source, layer.summand) if name)
        grids.update({name: Grid.over(*self._ranges[name], shifted=name in self._summands)
                      for name in read if name not in grids})
        return grids

    def _groups(self) -> dict[str, list[str]]:
        """The layers and carriers that share a grid, by one of them."""
        group = {name: name for name in self._layers}
        for name in self._original.nodes:
            if name not in self._carriers:
                continue
            roots = {group[node_of(source)] for source in _carried_by(self._original.nodes[name])}
            first = min(roots)
            group = {member: first if root in roots else root for member, root in group.items()} | {name: first}
        members: dict[str, list[str]] = {}
        for member, root in group.items():
            members.setdefault(root, []).append(member)
        return members


def _range_of(layer: Layer, ranges: Ranges) -> tuple[float, float]:
    low, high = ranges[layer.end]
    return 0.0 if layer.activation else low, min(high, 6.0) if layer.activation == "Relu6" else high


# === What carries eight bits from layer to layer ===

def _carried_by(node: Any) -> list[str]:
    """The names of the tensors that a carrier passes on."""
    return [str(name) for name in node.input[:node.attr["N"].i if node.op == "ConcatV2" else 1]]


def _carriers(edit: GraphEdit, layers: Mapping[str, Layer], ranges: Ranges) -> dict[str, Any]:
    """Poolings, pads and concatenations between layers, by name."""
    never_negative = {name for name, layer in layers.items() if _range_of(layer, ranges)[0] >= 0}
    possible: dict[str, Any] = {}
    for name, node in edit.nodes.items():
        if name in layers or not _may_carry(edit, node):
            continue
        sources = [node_of(source) for source in _carried_by(node)]
        if not all(source in layers or source in possible for source in sources):
            continue
        if all(source in never_negative for source in sources):
            never_negative.add(name)
        elif node.op == "ConcatV2":
            continue  # a grid for values of both signs has too little room for those of one
        possible[name] = node
    wanted = {name for layer in layers.values() for name in (layer.source, layer.summand)}
    for name in reversed(list(possible)):
        if name in wanted:
            wanted |= {node_of(source) for source in _carried_by(possible[name])}
        else:
            del possible[name]
    return possible


def _may_carry(edit: GraphEdit, node: Any) -> bool:
    if node.op in _POOLS:
        window = list(node.attr["ksize"].list.i)
        return (node.attr["data_format"].s in (b"", b"NHWC") and node.attr["padding"].s in (b"SAME", b"VALID")
                and window[0] == window[3] == 1)
    if node.op == "ConcatV2":
        axis = edit.constant(node.input[node.attr["N"].i])
        return axis is not None and int(axis) in (-1, 3)
    return node.op in ("Pad", "PadV2") and zeros_around(edit, node) is not None


def _inside(edit: GraphEdit, layers: Sequence[Layer]) -> Iterator[str]:
    """The names of the nodes that layers stand for: nothing of them is computed any more."""
    for layer in layers:
        node = layer.node
        yield node.name
        before = edit.source(node, 0)
        if before.name != layer.source and edit.has_one_consumer(before):
            yield before.name  # zeros that became padding
        while node.name != layer.end:
            node = edit.consumers(node)[0]
            yield node.name
