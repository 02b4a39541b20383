"""How much of a layer's signal eight bits leave: measured with the real kernels, each layer by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.int8.convolutions import Ranges, side_by_side
from serving.export.optimize.int8.layers import Layer

# A layer that eight bits reproduce exactly has no noise at all; that is as good as this.
BEST_DECIBELS = 100.0
# How many of the layers are left out at a time where the whole is too far off.
_SHARE_PER_TRY = 0.15


@dataclass(frozen=True)
class LayerAccuracy:
    """What eight bits mean for a layer.

    Attributes:
        name: Of its convolution.
        decibels: Its result's power over that of the error that eight bits put into it; 40 is an amplitude of 1 %.
        reason: Why it stays as it is; empty if it computes in eight bits.
    """

    name: str
    decibels: float
    reason: str = ""


def signal_to_noise(graph: ForwardGraph, layers: Sequence[Layer], ranges: Ranges,
                    rows: Sequence[Mapping[str, Array]]) -> dict[str, float]:
    """Measures each layer by itself: it reads what it would in float32, so that errors do not add up.

    Args:
        graph: The graph.
        layers: Of `layers_of` for it.
        ranges: Of their tensors.
        rows: Sets of rows: arrays [N, ...] by pinned input name.

    Returns:
        Decibels by the names of the layers' ends.
    """
    beside, copies = side_by_side(graph, layers, ranges)
    held = tf.Graph()
    with held.as_default():
        tf.graph_util.import_graph_def(beside.graph_def, name="")
        powers = tf.stack([tf.stack([_power(exact), _power(exact - rounded)])
                           for exact, rounded in _pairs(held, copies)])
    present = {node.name for node in beside.graph_def.node}
    with tf.compat.v1.Session(graph=held) as session:
        totals = sum(session.run(powers, {f"{graph.inputs[name]}:0": array for name, array in one.items()
                                          if graph.inputs[name] in present}) for one in rows)
    return dict(zip(copies, (_decibels(signal, noise) for signal, noise in totals), strict=True))


def some_rows(calibration: Sequence[Mapping[str, Array]], most: int) -> list[Mapping[str, Array]]:
    """The first rows of sets, up to a number."""
    chosen: list[Mapping[str, Array]] = []
    left = most
    for rows in calibration:
        count = min(len(next(iter(rows.values()))), left)
        if count:
            chosen.append({name: array[:count] for name, array in rows.items()})
            left -= count
    return chosen


def summary(layers: Sequence[LayerAccuracy], *, worst: int = 10) -> dict[str, Any]:
    """What a manifest says about the layers, JSON-ready: how many, the middle one, the worst ones, and those left out.

    Args:
        layers: All of them.
        worst: How many of the worst ones to name.
    """
    done = sorted((layer for layer in layers if not layer.reason), key=lambda layer: layer.decibels)
    return {
        "layers": len(layers), "in_eight_bits": len(done),
        "median_decibels": round(float(np.median([layer.decibels for layer in done])), 1) if done else None,
        "worst": [{"layer": layer.name, "decibels": layer.decibels} for layer in done[:worst]],
        "left": [{"layer": layer.name, "decibels": layer.decibels, "reason": layer.reason}
                 for layer in layers if layer.reason],
    }


def without_worst(accuracies: Sequence[LayerAccuracy], reason: str) -> list[LayerAccuracy]:
    """With a share of the layers in eight bits, those of the most noise, left as they are.

    Args:
        accuracies: All layers.
        reason: Why, for those that are left out by it.
    """
    done = sorted((accuracy for accuracy in accuracies if not accuracy.reason), key=lambda accuracy: accuracy.decibels)
    worst = {accuracy.name for accuracy in done[:math.ceil(_SHARE_PER_TRY * len(done))]}
    return [replace(accuracy, reason=reason) if accuracy.name in worst else accuracy for accuracy in accuracies]


def _pairs(held: Any, copies: Mapping[str, str]) -> Iterator[tuple[Any, Any]]:
    for end, copy in copies.items():
        yield tuple(held.get_tensor_by_name(f"{name}:0") for name in (end, copy))


def _power(tensor: Any) -> Any:
    return tf.reduce_sum(tf.square(tensor))


def _decibels(signal: float, noise: float) -> float:
    if noise <= 0:
        return BEST_DECIBELS
    return round(min(10 * math.log10(max(signal / noise, 1e-10)), BEST_DECIBELS), 1)
