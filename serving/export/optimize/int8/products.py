"""Matrix products of eight bits: unsigned activations over a learned range, signed weights with a scale per channel.

TensorFlow's `_QuantizedMatMul` multiplies on the processor's integer units and takes the bias, the activation, the
residual sum and the way back to float32 or on to eight bits in with it. Activations lie on 0..255 with a zero of their
own, which costs a lopsided range, such as GELU's, no bit, and which every processor multiplies without overflow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.edit import GraphEdit, node_of
from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.int8.calibration import PERCENTILE, ranges
from serving.export.optimize.int8.product_chains import Product, products_of

# Rows of activations that a layer's error is measured on.
_MOST_ROWS = 1024
# Decibels: a product whose result has more noise in it than a tenth of the signal's amplitude stays in float32.
WORST_SIGNAL_TO_NOISE = 20.0
_STEPS, _WEIGHT_STEPS = 255, 127


@dataclass(frozen=True)
class QuantizedProduct:
    """What became of a product.

    Attributes:
        name: Of its node.
        signal_to_noise: Decibels of its result over what eight bits change in it; None where nothing was measured.
        kept: Whether it computes in eight bits.
        reason: Why not; empty if it does.
    """

    name: str
    signal_to_noise: float | None
    kept: bool
    reason: str = ""


def quantize_products(graph: ForwardGraph, calibration: Sequence[Mapping[str, Array]], *, method: str = PERCENTILE,
                      worst: float = WORST_SIGNAL_TO_NOISE) -> tuple[ForwardGraph, tuple[QuantizedProduct, ...]]:
    """Gives the products with constant weights eight bits.

    Args:
        graph: The graph; dense layers are MatMul in it.
        calibration: Sets of rows: arrays [N, ...] by pinned input name.
        method: How ranges are learned, see `calibration.ranges`.
        worst: Decibels below which a product stays as it is.

    Returns:
        The graph, and what became of each product.

    Raises:
        ValueError: No product was worth it.
    """
    edit = GraphEdit(graph)
    products = products_of(graph, edit)
    if not products:
        raise ValueError("there is no matrix product with constant weights that is worth eight bits")
    names = [tensor for product in products for tensor in (product.source, _result(product))]
    grids = {name: _Grid.over(*found) for name, found in ranges(graph, names, calibration, method).items()}
    reports = _judged(graph, products, grids, calibration, worst)
    chosen = [product for product, report in zip(products, reports, strict=True) if report.kept]
    if not chosen:
        raise ValueError("every matrix product would lose too much with eight bits")
    _Writer(edit, chosen, grids).write()
    return edit.finished(), reports


@dataclass(frozen=True)
class _Grid:
    """The numbers low, low + step ... high, of which 0 is one: what 0..255 stand for."""

    low: float
    high: float

    @classmethod
    def over(cls, low: float, high: float) -> _Grid | None:
        """The finest grid that covers a range around 0; None if the range has no width."""
        if high - low < 1e-12:
            return None
        zero = round(-low / (high - low) * _STEPS)
        steps = [part for part in (-low / zero if zero else 0, high / (_STEPS - zero) if zero < _STEPS else 0) if part]
        return cls(-zero * max(steps), (_STEPS - zero) * max(steps))

    def rounded(self, values: Array) -> Array:
        """Values as the grid has them."""
        step = (self.high - self.low) / _STEPS
        return np.clip(np.round(values / step), round(self.low / step), round(self.high / step)) * step


def _result(product: Product) -> str:
    return f"{product.end.name}:0"


def _on_weight_grid(weights: Array) -> tuple[Array, Array]:
    """(int8 [inputs, channels], the largest absolute weight of each channel [channels])."""
    # A channel of nothing but zeros still needs a width.
    largest = np.maximum(np.abs(weights).max(axis=0), 1e-12).astype(np.float32)
    return np.round(weights / largest * _WEIGHT_STEPS).astype(np.int8), largest


# === Which products are worth it ===

def _judged(graph: ForwardGraph, products: Sequence[Product], grids: Mapping[str, _Grid | None],
            calibration: Sequence[Mapping[str, Array]], worst: float) -> tuple[QuantizedProduct, ...]:
    sources = list(dict.fromkeys(product.source for product in products))
    seen = _activations(graph, sources, calibration)
    reports = []
    for product in products:
        grid, found = grids[product.source], seen[product.source]
        if grid is None:
            reports.append(QuantizedProduct(product.node.name, None, False, "what goes into it is 0 throughout"))
            continue
        level = _signal_to_noise(found, product.weights, grid)
        reason = f"its result would have {level:.0f} dB over the noise, wanted are {worst:.0f}" if level < worst else ""
        reports.append(QuantizedProduct(product.node.name, round(level, 1), not reason, reason))
    return tuple(reports)


def _activations(graph: ForwardGraph, names: Sequence[str],
                 calibration: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Rows of tensors [rows, width] by name, evenly picked."""
    share = max(_MOST_ROWS // max(len(calibration), 1), 1)
    runs = [[_picked(array, share) for array in graph.run(rows, names)[len(graph.outputs):]]
            for rows in calibration]
    return {name: np.concatenate([run[place] for run in runs]) for place, name in enumerate(names)}


def _picked(array: Array, most: int) -> Array:
    return array[:: -(-len(array) // most)] if len(array) > most else array


def _signal_to_noise(rows: Array, weights: Array, grid: _Grid) -> float:
    exact = rows @ weights
    integers, largest = _on_weight_grid(weights)
    made = grid.rounded(rows).astype(np.float32) @ (integers * (largest / _WEIGHT_STEPS))
    noise = float(np.square(made - exact, dtype=np.float64).sum())
    return 10 * float(np.log10(max(float(np.square(exact, dtype=np.float64).sum()), 1e-30) / max(noise, 1e-30)))


# === Writing ===

class _Writer:
    """Writes the integer products in the places of the float32 ones."""

    def __init__(self, edit: GraphEdit, products: Sequence[Product], grids: Mapping[str, _Grid | None]) -> None:
        self._edit, self._products, self._grids = edit, products, grids
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
                and self._grids[_result(product)] is not None
                and all(reader.name in self._nodes and node_of(reader.input[1]) != product.end.name
                        for reader in readers))

    def _write_rounded(self, product: Product) -> None:
        grid = self._grids[_result(product)]
        assert grid is not None
        node = self._write(product, "Requantize", tf.quint8, self._bounds(product.end.name, grid))
        self._rounded[_result(product)] = (node.name, f"{node.name}:1", f"{node.name}:2")

    def _write(self, product: Product, last: str, dtype: Any, bounds: Sequence[str]) -> Any:
        edit, name = self._edit, product.end.name
        integers, largest = _on_weight_grid(product.weights)
        weights = edit.add(f"{name}/int8/weights", "Bitcast",
                           [edit.add_constant(f"{name}/int8/weights/bytes", integers)],
                           {"T": _type(tf.int8), "type": _type(tf.qint8)})
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
            "T1": _type(tf.quint8), "T2": _type(tf.qint8), "Tbias": _type(tf.float32), "U": _type(tf.float32),
            "Tout": _type(dtype), "transpose_a": _flag(False), "transpose_b": _flag(False),
            "is_weight_const": _flag(True), "is_bias_const": _flag(True), "fused_ops": _words(operations),
            "input_quant_mode": _word("MIN_FIRST"), "output_quant_mode": _word("MIN_FIRST")})

    def _source(self, product: Product) -> tuple[str, str, str]:
        """What a product multiplies in eight bits, and the ends of its range; rounded once for all that read it."""
        source = product.source
        if source not in self._rounded:
            name, grid = node_of(source), self._grids[source]
            assert grid is not None
            low, high = self._bounds(name, grid)
            node = self._edit.add(f"{name}/int8", "QuantizeV2", [product.node.input[0], low, high], {
                "T": _type(tf.quint8), "mode": _word("MIN_FIRST"), "round_mode": _word("HALF_AWAY_FROM_ZERO"),
                "narrow_range": _flag(False), "axis": tf.compat.v1.AttrValue(i=-1),
                "ensure_minimum_range": tf.compat.v1.AttrValue(f=0.0)})
            self._rounded[source] = (node.name, f"{node.name}:1", f"{node.name}:2")
        return self._rounded[source]

    def _bounds(self, name: str, grid: _Grid) -> tuple[str, str]:
        return (self._edit.add_constant(f"{name}/int8/low", np.array(grid.low, np.float32)),
                self._edit.add_constant(f"{name}/int8/high", np.array(grid.high, np.float32)))


def _type(dtype: Any) -> Any:
    return tf.compat.v1.AttrValue(type=dtype.as_datatype_enum)


def _types(dtypes: Sequence[Any]) -> Any:
    value = tf.compat.v1.AttrValue()
    value.list.SetInParent()
    value.list.type.extend([dtype.as_datatype_enum for dtype in dtypes])
    return value


def _flag(value: bool) -> Any:
    return tf.compat.v1.AttrValue(b=value)


def _word(value: str) -> Any:
    return tf.compat.v1.AttrValue(s=value.encode())


def _words(values: Sequence[str]) -> Any:
    return tf.compat.v1.AttrValue(list=tf.compat.v1.AttrValue.ListValue(s=[value.encode() for value in values]))
