"""Weights stored as integers of eight or four bits, and made numbers again where they are read: for size.

A call takes the time of making the weights again on top. TensorFlow would make them once, when a session is built, and
keep the large copy; so each reads its integers from a place that is computed of the batch: always the first one, which
costs nothing, but no optimiser knows that beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.edit import GraphEdit, node_of
from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.passes.attributes import flag, number_type, whole
from serving.export.optimize.passes.weight_grids import EightBits, FourBits, decibels

# What is smaller would need almost as much for the nodes and scales.
SMALLEST_WEIGHTS = 4096
# Four bits leave normally distributed weights 21; those that lose far more than that get eight.
WORST_DECIBELS = 17.0
_READ_WHOLE = frozenset({"MatMul", "Conv2D", "DepthwiseConv2dNative", "Einsum", "BatchMatMulV2"})


def eight_bit_weights(graph: ForwardGraph) -> ForwardGraph:
    """Returns the graph with large weights as int8 and a scale per channel.

    Raises:
        ValueError: There are none.
    """
    return _rewritten(graph, four=False)


def four_bit_weights(graph: ForwardGraph) -> ForwardGraph:
    """Returns the graph with large weights as 0..15, two in a byte, and a scale and a lowest value per group of 64.

    Weights in whose layout no groups of 64 fit, and those that four bits would change too much, get eight bits.

    Raises:
        ValueError: There are no large weights.
    """
    return _rewritten(graph, four=True)


def _rewritten(graph: ForwardGraph, *, four: bool) -> ForwardGraph:
    edit, found = GraphEdit(graph), False
    start = _Start(edit, graph)
    for node in edit.of_kind("Const"):
        weights = edit.constant(node.name)
        if weights is None or weights.dtype != np.float32 or weights.ndim < 2 or weights.size < SMALLEST_WEIGHTS:
            continue
        readers = _readers(edit, node)
        if readers is None:
            continue
        by_rows = any(reader.op == "GatherV2" or _transposed(reader) for reader, _ in readers)
        grid = FourBits.of(weights, by_rows=by_rows) if four else None
        if grid is not None and decibels(weights, grid.restored) >= WORST_DECIBELS:
            _write(edit, readers, _Four(edit, start, node.name, grid, weights.shape))
        else:
            eight = EightBits.of(weights, _axes(weights, readers, by_rows))
            _write(edit, readers, _Eight(edit, start, node.name, eight))
        found = True
    if not found:
        raise ValueError("there are no weights that are worth fewer bits")
    return edit.finished()


def _readers(edit: GraphEdit, node: Any) -> list[tuple[Any, int]] | None:
    """(node, place) of all that read a constant, which may be through an Identity; None if others than weights' do."""
    found: list[tuple[Any, int]] = []
    for reader in edit.consumers(node):
        if reader.op == "Identity" and not edit.is_output(reader):
            more = _readers(edit, reader)
            if more is None:
                return None
            found += more
            continue
        places = [place for place, name in enumerate(reader.input) if node_of(name) == node.name]
        if reader.op in _READ_WHOLE or (reader.op == "GatherV2" and places == [0] and _gathers_rows(edit, reader)):
            found += [(reader, place) for place in places]
        else:
            return None
    return found or None


def _gathers_rows(edit: GraphEdit, reader: Any) -> bool:
    axis = edit.constant(reader.input[2])
    weights = edit.constant(reader.input[0])
    return (axis is not None and int(axis) == 0 and weights is not None and weights.ndim == 2
            and ("batch_dims" not in reader.attr or reader.attr["batch_dims"].i == 0))


def _transposed(node: Any) -> bool:
    return "transpose_b" in node.attr and bool(node.attr["transpose_b"].b)


def _axes(weights: Array, readers: list[tuple[Any, int]], by_rows: bool) -> tuple[int, ...]:
    """The axes that share a scale."""
    if by_rows:
        return tuple(range(1, weights.ndim))
    if all(reader.op == "DepthwiseConv2dNative" for reader, _ in readers):
        return (0, 1)
    return tuple(range(weights.ndim - 1))


def _write(edit: GraphEdit, readers: list[tuple[Any, int]], made: _Eight | _Four) -> None:
    """Gives the numbers made of the integers to all that read the weights."""
    for reader, place in readers:
        if reader.op == "GatherV2":
            rows = made.rows(reader)
            edit.bypass(reader, rows)
        else:
            inputs = [name for name in reader.input if not name.startswith("^")]
            inputs[place] = made.whole()
            edit.set_inputs(reader, inputs)


class _Start:
    """The place 0, 0, ... that no optimiser knows: the smaller one of 0 and the count of rows."""

    def __init__(self, edit: GraphEdit, graph: ForwardGraph) -> None:
        self._edit, self._input = edit, next(iter(graph.inputs.values()))
        self._zero = ""
        self._by_rank: dict[int, str] = {}

    def of_rank(self, rank: int) -> str:
        """A tensor int32 [rank] of zeros."""
        if rank not in self._by_rank:
            self._zero = self._zero or self._first()
            parts = [self._zero, *[self._number(np.zeros(1, np.int32))] * (rank - 1)]
            joined = [*parts, self._number(np.array(0, np.int32))]
            self._by_rank[rank] = self._node("ConcatV2", joined, {
                "T": number_type(tf.int32), "Tidx": number_type(tf.int32), "N": whole(rank)})
        return self._by_rank[rank]

    def _first(self) -> str:
        """int32 [1]."""
        node = self._edit.nodes[self._input]
        shape = self._node("Shape", [self._input], {"T": node.attr["dtype"], "out_type": number_type(tf.int32)})
        rows = self._node("Slice", [shape, self._number(np.zeros(1, np.int32)), self._number(np.ones(1, np.int32))],
                          {"T": number_type(tf.int32), "Index": number_type(tf.int32)})
        return self._node("Minimum", [rows, self._number(np.zeros(1, np.int32))], {"T": number_type(tf.int32)})

    def _number(self, value: Array) -> str:
        return self._edit.add_constant("weights_start/number", value)

    def _node(self, op: str, inputs: list[str], attributes: Mapping[str, Any]) -> str:
        return str(self._edit.add(f"weights_start/{op.lower()}", op, inputs, attributes).name)


class _Restored:
    """Makes float32 numbers of integers that stand in a graph."""

    def __init__(self, edit: GraphEdit, start: _Start, name: str) -> None:
        self._edit, self._start, self._name = edit, start, name
        self._all = ""

    def whole(self) -> str:
        """The tensor of all the weights."""
        self._all = self._all or self._restored()
        return self._all

    def _restored(self) -> str:
        raise TypeError("a kind of integers says what they stand for")

    def _hidden(self, integers: str, shape: tuple[int, ...]) -> str:
        """Integers that no optimiser computes with beforehand; nothing is copied."""
        size = self._constant("size", np.array(shape, np.int32))
        return self._node("integers", "Slice", [integers, self._start.of_rank(len(shape)), size],
                          {"T": self._edit.nodes[integers].attr["dtype"], "Index": number_type(tf.int32)})

    def _constant(self, name: str, value: Array) -> str:
        return self._edit.add_constant(f"{self._name}/{name}", value)

    def _float(self, tensor: str, dtype: Any) -> str:
        attributes = {"SrcT": number_type(dtype), "DstT": number_type(), "Truncate": flag(False)}
        return self._node("numbers", "Cast", [tensor], attributes)

    def _two(self, op: str, first: str, second: str, dtype: Any = tf.float32) -> str:
        return self._node(op.lower(), op, [first, second], {"T": number_type(dtype)})

    def _gathered(self, reader: Any, tensor: str, dtype: Any) -> str:
        """The rows that a reader picks, of another table."""
        attributes = {"Tparams": number_type(dtype), "Tindices": reader.attr["Tindices"],
                      "Taxis": reader.attr["Taxis"], "batch_dims": whole(0)}
        return self._node("rows", "GatherV2", [tensor, *reader.input[1:3]], attributes)

    def _node(self, name: str, op: str, inputs: list[str], attributes: Mapping[str, Any]) -> str:
        return str(self._edit.add(f"{self._name}/{name}", op, inputs, attributes).name)


class _Eight(_Restored):
    """Of eight bits."""

    def __init__(self, edit: GraphEdit, start: _Start, name: str, grid: EightBits) -> None:
        super().__init__(edit, start, name)
        self._shape = grid.integers.shape
        self._integers, self._scales = self._constant("int8", grid.integers), self._constant("scales", grid.scales)

    def rows(self, reader: Any) -> str:
        """The rows that a reader picks."""
        integers = self._gathered(reader, self._integers, tf.int8)
        scales = self._gathered(reader, self._scales, tf.float32)
        return self._two("Mul", self._float(integers, tf.int8), scales)

    def _restored(self) -> str:
        return self._two("Mul", self._float(self._hidden(self._integers, self._shape), tf.int8), self._scales)


class _Four(_Restored):
    """Of four bits, in groups."""

    def __init__(self, edit: GraphEdit, start: _Start, name: str, grid: FourBits, shape: tuple[int, ...]) -> None:
        super().__init__(edit, start, name)
        self._shape, self._packed, self._axis = shape, grid.bytes.shape, grid.axis
        self._bytes = self._constant("int4", grid.bytes)
        self._scales, self._lows = self._constant("scales", grid.scales), self._constant("lows", grid.lows)

    def rows(self, reader: Any) -> str:
        """The rows that a reader picks: [..., width] of groups [..., groups, 64]."""
        parts = [self._gathered(reader, tensor, dtype) for tensor, dtype in
                 ((self._bytes, tf.uint8), (self._scales, tf.bfloat16), (self._lows, tf.bfloat16))]
        indices = str(reader.input[1])
        dims = self._node("dims", "Shape", [indices],
                          {"T": reader.attr["Tindices"], "out_type": number_type(tf.int32)})
        last = self._constant("width", np.array([self._shape[1]], np.int32))
        shape = self._joined([dims, last], 0, tf.int32)
        return self._reshaped(self._numbers(parts[0], parts[1], parts[2], -1), shape)

    def _restored(self) -> str:
        shape = self._constant("shape", np.array(self._shape, np.int32))
        packed = self._hidden(self._bytes, self._packed)
        return self._reshaped(self._numbers(packed, self._scales, self._lows, self._axis), shape)

    def _numbers(self, packed: str, scales: str, lows: str, axis: int) -> str:
        low = self._two("BitwiseAnd", packed, self._constant("mask", np.array(15, np.uint8)), tf.uint8)
        high = self._two("RightShift", packed, self._constant("bits", np.array(4, np.uint8)), tf.uint8)
        numbers = self._float(self._joined([low, high], axis, tf.uint8), tf.uint8)
        scaled = self._two("Mul", numbers, self._float(scales, tf.bfloat16))
        return self._two("AddV2", scaled, self._float(lows, tf.bfloat16))

    def _joined(self, parts: list[str], axis: int, dtype: Any) -> str:
        return self._node("joined", "ConcatV2", [*parts, self._constant("axis", np.array(axis, np.int32))],
                          {"T": number_type(dtype), "Tidx": number_type(tf.int32), "N": whole(len(parts))})

    def _reshaped(self, tensor: str, shape: str) -> str:
        return self._node("weights", "Reshape", [tensor, shape],
                          {"T": number_type(), "Tshape": number_type(tf.int32)})
