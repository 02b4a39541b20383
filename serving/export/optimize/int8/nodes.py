"""Writes the operations of eight bits: TensorFlow's own, which run oneDNN's integer kernels.

`_FusedQuantizedConv2D` and its depthwise sister are used although TensorFlow keeps their names from its Python
interface: they stand in the list of operations of every TensorFlow Serving that is supported, load like any other,
compute with oneDNN switched off as well, and keep the arranged weights even where these stand in variables. The older
public names (QuantizedConv2DWithBiasAndRelu...) are only rewritten to the same kernels, and compute nothing where
that is switched off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.edit import GraphEdit
from serving.export.optimize.graph import Array
from serving.export.optimize.int8.grids import Grid, rounded_kernel
from serving.export.optimize.int8.layers import Layer
from serving.export.optimize.passes.attributes import flag, number_type, text, wholes

# Too little to change a range, and enough to be no equal of another node.
_NO_OTHER = 1e-9


@dataclass(frozen=True)
class Stored:
    """A tensor in eight bits: its name, and what they stand for."""

    tensor: str
    grid: Grid


def quantized(edit: GraphEdit, name: str, tensor: str, grid: Grid, *, own: bool = False) -> Stored:
    """Rounds a float32 tensor.

    Args:
        edit: Where to.
        name: To call the nodes after.
        tensor: The tensor.
        grid: What to round to.
        own: Whether a sum is written over the result, so that no optimiser may join it with an equal one.
    """
    mode, rounding = ("MIN_FIRST", "HALF_AWAY_FROM_ZERO") if grid.zero else ("SCALED", "HALF_TO_EVEN")
    node = edit.add(f"{name}/quantized", "QuantizeV2", [tensor, *_range(edit, name, grid)], {
        "T": number_type(grid.dtype), "mode": text(mode), "round_mode": text(rounding),
        "narrow_range": flag(grid.signed),  # without it a signed number is up to a whole step off
        "ensure_minimum_range": tf.compat.v1.AttrValue(f=_NO_OTHER if own else 0.0),
        "axis": tf.compat.v1.AttrValue(i=-1)})
    return Stored(node.name, grid)


def become_float(edit: GraphEdit, node: Any, stored: Stored) -> None:
    """Makes a node the float32 copy of a tensor in eight bits, for all that read it."""
    edit.become(node, "Dequantize", [stored.tensor, *_range(edit, node.name, stored.grid)], _dequantize(stored.grid))


def signed(edit: GraphEdit, name: str, stored: Stored) -> Stored:
    """The same tensor on a signed grid, whose zero is what convolutions pad with."""
    copy = edit.add(f"{name}/float", "Dequantize", [stored.tensor, *_range(edit, name, stored.grid)],
                    _dequantize(stored.grid))
    return quantized(edit, name, copy.name, Grid.over(stored.grid.low, stored.grid.high))


def convolution(edit: GraphEdit, layer: Layer, source: Stored, grid: Grid, summand: Stored | None = None,
                after: Sequence[str] = ()) -> Stored:
    """Writes a layer in eight bits.

    Args:
        edit: Where to.
        layer: The layer.
        source: What it reads; with a zero of 0 if the layer pads.
        grid: Of its result.
        summand: What is added, unsigned; nothing else may read it afterwards.
        after: Names of nodes to be done before.
    """
    kernel, scales = rounded_kernel(layer.kernel, depthwise=layer.depthwise)
    # What the grids are shifted by goes in and out with the bias.
    sums = (kernel.astype(np.float64) * _per_channel(scales, kernel, layer.depthwise)).sum(
        axis=(0, 1) if layer.depthwise else (0, 1, 2)).reshape(-1)
    bias = layer.bias - source.grid.shift * sums + grid.shift - (summand.grid.shift if summand else 0.0)
    # Nothing below the lowest number of an unsigned grid can be told, so that ReLU and rounding are one.
    relu = ["Relu"] if layer.activation or not grid.signed else []
    weights = edit.add(f"{layer.end}/weights", "Bitcast", [edit.add_constant(f"{layer.end}/integers", kernel)],
                       {"T": number_type(tf.int8), "type": number_type(tf.qint8)})
    name = layer.end
    tensors = [source.tensor, weights.name, edit.add_constant(f"{name}/bias", bias.astype(np.float32))]
    numbers = [*_kernel_range(edit, f"{name}/input", source.grid),
               edit.add_constant(f"{name}/weights_low", -scales * np.float32(127)),
               edit.add_constant(f"{name}/weights_high", scales * np.float32(127))]
    if summand is not None:
        tensors.append(summand.tensor)
        numbers += _kernel_range(edit, f"{name}/summand", summand.grid)
    numbers += _kernel_range(edit, f"{name}/output", grid)
    fused = ["BiasAdd", *(["Sum"] if summand else []), *relu, "Requantize"]
    op = "_FusedQuantizedDepthwiseConv2D" if layer.depthwise else "_FusedQuantizedConv2D"
    node = edit.add(f"{name}/eight_bits", op, [*tensors, *numbers, *(f"^{other}" for other in after)],
                    _convolution(layer, source, grid, summand, fused, len(numbers)))
    return Stored(node.name, grid)


def copied(edit: GraphEdit, name: str, stored: Stored) -> Stored:
    """A copy of a tensor, to write a sum over while others still read the tensor."""
    plain = tf.int8 if stored.grid.signed else tf.uint8
    copy = edit.add(f"{name}/copy", "DeepCopy", [_plain(edit, f"{name}/copy", stored)], {"T": number_type(plain)})
    return _eight_bits(edit, f"{name}/copy", copy.name, stored.grid)


def pooled(edit: GraphEdit, node: Any, source: Stored) -> Stored:
    """Writes a MaxPool or AvgPool in eight bits."""
    attributes = {name: node.attr[name] for name in ("ksize", "strides", "padding")}
    made = edit.add(f"{node.name}/eight_bits", f"Quantized{node.op}",
                    [source.tensor, *_range(edit, node.name, source.grid)],
                    {"T": number_type(source.grid.dtype), **attributes})
    return Stored(made.name, source.grid)


def padded(edit: GraphEdit, node: Any, source: Stored) -> Stored:
    """Writes zeros around a tensor in eight bits."""
    plain, number = (tf.int8, np.int8) if source.grid.signed else (tf.uint8, np.uint8)
    zero = edit.add_constant(f"{node.name}/zero", np.array(source.grid.zero, number))
    made = edit.add(f"{node.name}/bytes", "PadV2", [_plain(edit, node.name, source), node.input[1], zero],
                    {"T": number_type(plain), "Tpaddings": node.attr["Tpaddings"]})
    return _eight_bits(edit, node.name, made.name, source.grid)


def joined(edit: GraphEdit, node: Any, sources: Sequence[Stored]) -> Stored:
    """Writes a ConcatV2 of tensors on one grid in eight bits."""
    grid = sources[0].grid
    parts = [_plain(edit, f"{node.name}/part", source) for source in sources]
    made = edit.add(f"{node.name}/bytes", "ConcatV2", [*parts, node.input[len(sources)]],
                    {"T": number_type(tf.int8 if grid.signed else tf.uint8), "Tidx": node.attr["Tidx"],
                     "N": tf.compat.v1.AttrValue(i=len(parts))})
    return _eight_bits(edit, node.name, made.name, grid)


# === Parts ===

def _range(edit: GraphEdit, name: str, grid: Grid) -> tuple[str, str]:
    return (edit.add_constant(f"{name}/low", np.array(grid.low, np.float32)),
            edit.add_constant(f"{name}/high", np.array(grid.high, np.float32)))


def _kernel_range(edit: GraphEdit, name: str, grid: Grid) -> tuple[str, str]:
    """The range as convolutions know it, without a zero of its own: the bias has it."""
    low, high = (grid.low, grid.high) if grid.signed else (0.0, grid.high - grid.low)
    return (edit.add_constant(f"{name}_low", np.array(low, np.float32)),
            edit.add_constant(f"{name}_high", np.array(high, np.float32)))


def _dequantize(grid: Grid) -> Mapping[str, Any]:
    return {"T": number_type(grid.dtype), "mode": text("MIN_FIRST" if grid.zero else "SCALED"),
            "narrow_range": flag(False), "axis": tf.compat.v1.AttrValue(i=-1), "dtype": number_type()}


def _plain(edit: GraphEdit, name: str, source: Stored) -> str:
    plain = tf.int8 if source.grid.signed else tf.uint8
    node = edit.add(f"{name}/plain", "Bitcast", [source.tensor],
                    {"T": number_type(source.grid.dtype), "type": number_type(plain)})
    return str(node.name)


def _eight_bits(edit: GraphEdit, name: str, tensor: str, grid: Grid) -> Stored:
    plain = tf.int8 if grid.signed else tf.uint8
    node = edit.add(f"{name}/eight_bits", "Bitcast", [tensor],
                    {"T": number_type(plain), "type": number_type(grid.dtype)})
    return Stored(node.name, grid)


def _per_channel(scales: Array, kernel: Array, depthwise: bool) -> Array:
    return scales.reshape(kernel.shape[2:]) if depthwise else scales


def _convolution(layer: Layer, source: Stored, grid: Grid, summand: Stored | None, fused: Sequence[str],
                 numbers: int) -> Mapping[str, Any]:
    tensors = [source.grid.dtype, tf.qint8, tf.float32, *([summand.grid.dtype] if summand else [])]
    return {
        "Tinput": number_type(source.grid.dtype), "Tfilter": number_type(tf.qint8), "Tbias": number_type(),
        "Tsummand": number_type(summand.grid.dtype if summand else grid.dtype), "out_type": number_type(grid.dtype),
        "Tdevice_inputs": _types(tensors), "Thost_inputs": _types([tf.float32] * numbers),
        "Tdevice_outputs": _types([grid.dtype]), "Thost_outputs": _types([tf.float32] * 2),
        "data_format": text("NHWC"), "strides": layer.node.attr["strides"], "dilations": wholes(1, 1, 1, 1),
        "is_filter_const": flag(True), "is_bias_const": flag(True), "padding": text(layer.padding),
        "explicit_paddings": wholes(*layer.pads), "alpha": tf.compat.v1.AttrValue(f=0.0),
        "fused_ops": tf.compat.v1.AttrValue(
            list=tf.compat.v1.AttrValue.ListValue(s=[word.encode() for word in fused])),
    }


def _types(dtypes: Sequence[Any]) -> Any:
    return tf.compat.v1.AttrValue(
        list=tf.compat.v1.AttrValue.ListValue(type=[dtype.as_datatype_enum for dtype in dtypes]))
