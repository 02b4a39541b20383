"""Ranges of a graph's tensors, learned from rows that a user gives: what eight bits have to cover.

A tensor without negative values is meant for 0..255 over [0, high], any other for -127..127 over [-m, m], where m is
the larger one of -low and high.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.graph import Array, ForwardGraph

MIN_MAX, PERCENTILE, MSE, ENTROPY = "min-max", "percentile", "mse", "entropy"

# Fine enough for a bound to be found within a thousandth of the largest value.
_BINS = 2048
_UNSIGNED_STEPS, _SIGNED_STEPS = 255, 127
_SHARE_COVERED = 0.9999
_CANDIDATES = 120
_SMALLEST_SHARE_OF_RANGE = 0.2
# Of a tensor in one set of rows; evenly picked, for a histogram takes longer than most layers.
_MOST_COUNTED = 2**17


def ranges(graph: ForwardGraph, tensors: Sequence[str], calibration: Sequence[Mapping[str, Array]],
           method: str = MSE) -> dict[str, tuple[float, float]]:
    """Learns between which values tensors lie.

    Args:
        graph: The graph.
        tensors: Names of float32 tensors in it, "node" or "node:0".
        calibration: Sets of rows: arrays [N, ...] by pinned input name.
        method: "min-max" takes everything that occurs. The others cut off what is rare, for the rest to be finer:
            "percentile" covers 99.99 % of the values, "mse" has the least squared error of what eight bits make of
            them, "entropy" the least information lost (Kullback-Leibler).

    Returns:
        (low, high) by the name as given; low is at most 0 and high at least 0. A tensor that never holds a value gets
        (0, 0).

    Raises:
        ValueError: The method is unknown, there is no row, or a tensor holds NaN or infinity.
    """
    return ranges_by_method(graph, tensors, calibration, [method])[method]


def ranges_by_method(graph: ForwardGraph, tensors: Sequence[str], calibration: Sequence[Mapping[str, Array]],
                     methods: Sequence[str]) -> dict[str, dict[str, tuple[float, float]]]:
    """The same with several methods, for which the rows are run only once; by the method's name."""
    for method in methods:
        if method not in (MIN_MAX, *_BOUNDS):
            raise ValueError(f"a calibration method is one of {', '.join((MIN_MAX, *_BOUNDS))}, not {method!r}")
    sets = [rows for rows in calibration if len(next(iter(rows.values())))]
    if not sets:
        raise ValueError("there is no row to learn the ranges of activations from")
    names = list(dict.fromkeys(tensors))
    if not names:
        return {method: {} for method in methods}
    with _measuring(graph, names) as (extremes, histograms):
        found = _widest(names, [extremes(rows) for rows in sets])
        if set(methods) == {MIN_MAX}:
            return {MIN_MAX: found}
        sizes = np.array([max(-low, high) for low, high in found.values()], np.float32)
        # A histogram needs a width; what is 0 throughout keeps its (0, 0).
        counts = sum(histograms(rows, np.where(sizes > 0, sizes, 1).astype(np.float32)) for rows in sets)
    return {method: found if method == MIN_MAX else
            {name: _cut(found[name], counts[place], size, method)
             for place, (name, size) in enumerate(zip(names, sizes.tolist(), strict=True))} for method in methods}


# === Measuring ===

@contextmanager
def _measuring(graph: ForwardGraph, names: Sequence[str]) -> Iterator[tuple[Callable[..., Any], Callable[..., Any]]]:
    """Two functions that run a set of rows: lowest and highest value [T, 2]; histograms of sizes [T, bins]."""
    held = tf.Graph()
    with held.as_default():
        tf.graph_util.import_graph_def(graph.graph_def, name="")
        tensors = [held.get_tensor_by_name(name if ":" in name else f"{name}:0") for name in names]
        flat = [tf.reshape(tensor, [-1]) for tensor in tensors]
        # The zeros let a tensor without values have a range, and every range hold 0.
        extremes = tf.stack([tf.stack([tf.reduce_min(tf.concat([values, [0.0]], 0)),
                                       tf.reduce_max(tf.concat([values, [0.0]], 0))]) for values in flat])
        sizes = tf.compat.v1.placeholder(tf.float32, [len(names)])
        counts = tf.stack([tf.histogram_fixed_width(tf.abs(_some_of(values)), [0.0, sizes[place]], _BINS)
                           for place, values in enumerate(flat)])
    with tf.compat.v1.Session(graph=held) as session:
        present = {node.name for node in graph.graph_def.node}

        def feeds(rows: Mapping[str, Array]) -> dict[Any, Array]:
            return {f"{graph.inputs[name]}:0": array for name, array in rows.items() if graph.inputs[name] in present}

        yield (lambda rows: session.run(extremes, feeds(rows)),
               lambda rows, widths: session.run(counts, {**feeds(rows), sizes: widths}).astype(np.float64))


def _some_of(values: Any) -> Any:
    return values[::tf.maximum(tf.size(values) // _MOST_COUNTED, 1)]


def _widest(names: Sequence[str], extremes: Sequence[Array]) -> dict[str, tuple[float, float]]:
    stacked = np.stack(extremes)
    broken = [name for place, name in enumerate(names) if not np.isfinite(stacked[:, place]).all()]
    if broken:
        raise ValueError(f"the calibration rows give NaN or infinity in {broken[0]!r}")
    lows, highs = stacked[:, :, 0].min(axis=0).tolist(), stacked[:, :, 1].max(axis=0).tolist()
    return dict(zip(names, zip(lows, highs, strict=True), strict=True))


# === Bounds: from a histogram of absolute values [bins], its width per bin and the steps of eight bits ===

def _cut(found: tuple[float, float], counts: Array, size: float, method: str) -> tuple[float, float]:
    low, high = found
    if size <= 0 or not counts.sum():
        return found
    bound = _BOUNDS[method](counts, size / _BINS, _SIGNED_STEPS if low < 0 else _UNSIGNED_STEPS)
    return max(low, -bound), min(high, bound)


def _percentile(counts: Array, width: float, _steps: int) -> float:
    # Zeros are covered by any bound: a sparse tensor's rare values are judged among the others.
    others = counts.copy()
    others[0] = 0
    if not others.sum():
        return width * len(counts)
    share = np.cumsum(others) / others.sum()
    return float(width * (1 + np.searchsorted(share, _SHARE_COVERED)))


def _least_squared_error(counts: Array, width: float, steps: int) -> float:
    values = (np.arange(len(counts)) + 0.5) * width
    full = width * len(counts)
    bounds = np.linspace(_SMALLEST_SHARE_OF_RANGE * full, full, _CANDIDATES)
    scales = bounds[:, None] / steps
    made = np.minimum(np.round(values / scales), steps) * scales
    return float(bounds[np.argmin(((made - values) ** 2 * counts).sum(axis=1))])


def _least_information_lost(counts: Array, width: float, steps: int) -> float:
    """The bound whose distribution in eight bits tells the least wrong about the one in float32."""
    levels = steps + 1
    seen = counts.copy()
    seen[0] = 0  # exact zeros, which every bound keeps, would hide the rest
    best, bound = np.inf, len(seen)
    for end in range(levels, len(seen) + 1, 8):
        kept = seen[:end].copy()
        kept[-1] += seen[end:].sum()
        lost = _divergence(kept, _coarse(seen[:end], levels))
        if lost < best:
            best, bound = lost, end
    return float(width * bound)


def _coarse(counts: Array, levels: int) -> Array:
    """Counts spread evenly over the non-empty bins of each of some levels."""
    group = np.arange(len(counts)) * levels // len(counts)
    present = counts > 0
    totals = np.bincount(group, counts, levels)
    occupied = np.bincount(group, present, levels)
    spread: Array = np.where(present, totals[group] / np.maximum(occupied[group], 1), 0.0)
    return spread


def _divergence(expected: Array, actual: Array) -> float:
    if not expected.sum() or not actual.sum():
        return float("inf")
    p, q = expected / expected.sum(), actual / actual.sum()
    where = p > 0
    return float((p[where] * np.log(p[where] / np.maximum(q[where], 1e-12))).sum())


_BOUNDS: Mapping[str, Callable[[Array, float, int], float]] = MappingProxyType({
    PERCENTILE: _percentile, MSE: _least_squared_error, ENTROPY: _least_information_lost})
