"""Matrix products of eight bits: unsigned activations over a learned range, signed weights with a scale per channel.

TensorFlow's `_QuantizedMatMul` multiplies on the processor's integer units and takes the bias, the activation, the
residual sum and the way back to float32 or on to eight bits in with it. Activations lie on 0..255 with a zero of their
own, which costs a lopsided range, such as GELU's, no bit, and which every processor multiplies without overflow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.edit import GraphEdit, node_of
from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.int8.grids import SIGNED_STEPS, UNSIGNED_STEPS, Grid
from serving.export.optimize.int8.product_chains import Product
from serving.export.optimize.passes.attributes import flag, number_type, real, text, whole

Ranges = Mapping[str, tuple[float, float]]


def tensors_of(products: Sequence[Product]) -> list[str]:
    """The tensors whose ranges `products_in_eight_bits` has to know."""
    return list(dict.fromkeys(tensor for product in products for tensor in (product.source, _result(product))))


def products_in_eight_bits(edit: GraphEdit, products: Sequence[Product], ranges: Ranges) -> ForwardGraph:
    """Returns the graph with some of its products in eight bits.

    Args:
        edit: The graph, as the products were found in it; it is used up.
        products: Of `products_of`.
        ranges: (low, high) of what `tensors_of` names.
    """
    _Writer(edit, products, ranges).write()
    return edit.finished()


def signals_to_noise(product: Product, rows: Array, found: Sequence[tuple[float, float]]) -> list[float]:
    """What a product's result is over what eight bits change in it, in decibels; both read what float32 would give.

    Args:
        product: The product.
        rows: What is multiplied [rows, inputs].
        found: Ranges of that to choose from.

    Returns:
        One number for each range.
    """
    exact = rows @ product.weights
    integers, largest = _on_weight_grid(product.weights)
    weights = integers * (largest / SIGNED_STEPS)
    signal = float(np.square(exact, dtype=np.float64).sum())
    levels = []
    for grid in map(_grid, found):
        steps = np.clip(np.round(rows / grid.scale), -grid.zero, UNSIGNED_STEPS - grid.zero)
        noise = float(np.square((steps * grid.scale).astype(np.float32) @ weights - exact, dtype=np.float64).sum())
        levels.append(10 * float(np.log10(max(signal, 1e-30) / max(noise, 1e-30))))
    return levels


def _grid(found: tuple[float, float]) -> Grid:
    return Grid.over(*found, shifted=True)


def _result(product: Product) -> str:
    return f"{product.end.name}:0"


def _on_weight_grid(weights: Array) -> tuple[Array, Array]:
    """(int8 [inputs, channels], the largest absolute weight of each channel [channels])."""
    # A channel of nothing but zeros still needs a width.
    largest = np.maximum(np.abs(weights).max(axis=0), 1e-12).astype(np.float32)
    return np.round(weights / largest * SIGNED_STEPS).astype(np.int8), largest


class _Writer:
    """Writes the integer products in the places of the float32 ones."""

    def __init__(self, edit: GraphEdit, products: Sequence[Product], ranges: Ranges) -> None:
        self._edit, self._products, self._ranges = edit, products, ranges
        self._rounded: dict[str, tuple[str, str, str]] = {}
        # By the name of the node that reads it: a product may stand in the graph under its old name until it is done.
        self._nodes = {product.node.name for product in products}

    def write(self) -> None:
        """Replaces all of them, each before those that read it."""
        for product in self._products:
            if self._only_products_read(product):
                self._write_rounded(product)
            else:
                node = self._write(product, "Dequantize", tf.float32, ())
                self._edit.bypass(product.end, node.name)

    def _only_products_read(self, product: Product) -> bool:
        """Whether all that reads a result takes it in eight bits, so that it never is float32."""
        readers = self._edit.consumers(product.end)
        return (not self._edit.is_output(product.end) and bool(readers) and product.addend is None
                and all(reader.name in self._nodes and node_of(reader.input[1]) != product.end.name
                        for reader in readers))

    def _write_rounded(self, product: Product) -> None:
        bounds = self._bounds(product.end.name, self._ranges[_result(product)])
        node = self._write(product, "Requantize", tf.quint8, bounds)
        self._rounded[_result(product)] = (node.name, f"{node.name}:1", f"{node.name}:2")

    def _write(self, product: Product, last: str, dtype: Any, bounds: Sequence[str]) -> Any:
        edit, name = self._edit, product.end.name
        integers, largest = _on_weight_grid(product.weights)
        weights = edit.add(f"{name}/int8/weights", "Bitcast",
                           [edit.add_constant(f"{name}/int8/weights/bytes", integers)],
                           {"T": number_type(tf.int8), "type": number_type(tf.qint8)})
        # The kernel takes the larger one of the two ends, so both can be the same constant.
        scales = edit.add_constant(f"{name}/int8/largest", largest)
        quantized, low, high = self._source(product)
        tensors = [quantized, weights.name, edit.add_constant(f"{name}/int8/bias", product.bias),
                   *([] if product.addend is None else [product.end.input[product.addend]])]
        ends = [low, high, scales, scales, *bounds]
        operations = ["BiasAdd", *filter(None, (product.activation, "" if product.addend is None else "Add")), last]
        further = [tf.float32, tf.float32] if bounds else []
        kinds = [tf.quint8, tf.qint8, *[tf.float32] * (len(tensors) - 2)]
        return edit.add(f"{name}/int8", "_QuantizedMatMul", [*tensors, *ends], {
            "Tdevice_inputs": _types(kinds), "Thost_inputs": _types([tf.float32] * len(ends)),
            "Tdevice_outputs": _types([dtype]), "Thost_outputs": _types(further),
            "T1": number_type(tf.quint8), "T2": number_type(tf.qint8), "Tbias": number_type(), "U": number_type(),
            "Tout": number_type(dtype), "transpose_a": flag(False), "transpose_b": flag(False),
            "is_weight_const": flag(True), "is_bias_const": flag(True), "fused_ops": _words(operations),
            "input_quant_mode": text("MIN_FIRST"), "output_quant_mode": text("MIN_FIRST")})

    def _source(self, product: Product) -> tuple[str, str, str]:
        """What a product multiplies in eight bits, and the ends of its range; rounded once for all that read it."""
        source = product.source
        if source not in self._rounded:
            name = node_of(source)
            low, high = self._bounds(name, self._ranges[source])
            node = self._edit.add(f"{name}/int8", "QuantizeV2", [product.node.input[0], low, high], {
                "T": number_type(tf.quint8), "mode": text("MIN_FIRST"), "round_mode": text("HALF_AWAY_FROM_ZERO"),
                "narrow_range": flag(False), "axis": whole(-1),
                "ensure_minimum_range": real(0.0)})
            self._rounded[source] = (node.name, f"{node.name}:1", f"{node.name}:2")
        return self._rounded[source]

    def _bounds(self, name: str, found: tuple[float, float]) -> tuple[str, str]:
        grid = _grid(found)
        return (self._edit.add_constant(f"{name}/int8/low", np.array(grid.low, np.float32)),
                self._edit.add_constant(f"{name}/int8/high", np.array(grid.high, np.float32)))


def _types(dtypes: Sequence[Any]) -> Any:
    numbers = [dtype.as_datatype_enum for dtype in dtypes]
    value = tf.compat.v1.AttrValue(list=tf.compat.v1.AttrValue.ListValue(type=numbers))
    value.list.SetInParent()
    return value


def _words(values: Sequence[str]) -> Any:
    return tf.compat.v1.AttrValue(list=tf.compat.v1.AttrValue.ListValue(s=[value.encode() for value in values]))
