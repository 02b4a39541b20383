"""Which convolutions are given eight bits: all whose own error is small, and not more than the whole can bear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.int8.accuracy import LayerAccuracy, signal_to_noise, some_rows
from serving.export.optimize.int8.calibration import MSE, ranges
from serving.export.optimize.int8.convolutions import Ranges, in_eight_bits, tensors_of
from serving.export.optimize.int8.judging import refused, within_bound
from serving.export.optimize.int8.layers import Layer, layers_of

# Below this there is more noise in a layer's result than a sixth of its amplitude.
WORST_DECIBELS = 15.0
_ROWS_TO_JUDGE_ON = 24


@dataclass
class EightBitConvolutions:
    """The pass that gives convolutions eight bits, and what it says about it afterwards.

    Attributes:
        calibration: Sets of rows: arrays [N, ...] by pinned input name.
        bound: The largest relative error of the whole, on the calibration rows, that it is content with. It leaves out
            the worst layers until that is reached, or few are left.
        method: How ranges are learned, see `calibration.ranges`.
        known: Ranges that need no learning, by name of the tensor's node.
    """

    calibration: Sequence[Mapping[str, Array]] = field(repr=False)
    bound: float
    method: str = MSE
    known: Ranges = field(default_factory=dict, repr=False)
    _details: Mapping[str, Any] = field(default_factory=dict, init=False, repr=False)

    def details(self) -> Mapping[str, Any]:
        """What the manifest says of the last graph that was rewritten, JSON-ready."""
        return self._details

    def rewrite(self, graph: ForwardGraph) -> ForwardGraph:
        """Returns the graph with convolutions in eight bits.

        Raises:
            ValueError: It has none, none of them may, or there is no row to learn ranges from.
        """
        layers = layers_of(graph)
        if not layers:
            raise ValueError("there is no convolution with constant weights")
        learned = {**ranges(graph, tensors_of(layers), self.calibration, self.method), **self.known}
        rows = some_rows(self.calibration, _ROWS_TO_JUDGE_ON)
        decibels = signal_to_noise(graph, layers, learned, rows)
        accuracies = [_judged(layer, decibels[layer.end]) for layer in layers]

        def rewritten(accuracies: Sequence[LayerAccuracy]) -> ForwardGraph:
            chosen = [layer for layer, accuracy in zip(layers, accuracies, strict=True) if not accuracy.reason]
            if not chosen:
                raise ValueError("every convolution would lose too much with eight bits")
            return in_eight_bits(graph, chosen, learned)

        judged = within_bound(graph, rows, self.bound, accuracies, rewritten)
        self._details = judged.details(self.method, self.calibration)
        return judged.graph


def _judged(layer: Layer, decibels: float) -> LayerAccuracy:
    return LayerAccuracy(layer.node.name, decibels, refused(decibels, WORST_DECIBELS))
