"""Which matrix products are given eight bits: all whose own error is small, and not more than the whole can bear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serving.export.optimize.edit import GraphEdit
from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.int8.accuracy import LayerAccuracy, some_rows
from serving.export.optimize.int8.calibration import PERCENTILE, ranges
from serving.export.optimize.int8.judging import refused, within_bound
from serving.export.optimize.int8.product_chains import Product, products_of
from serving.export.optimize.int8.products import Ranges, products_in_eight_bits, signal_to_noise, tensors_of

# Below this there is more noise in a product's result than a tenth of its amplitude.
WORST_DECIBELS = 20.0
_ROWS_TO_JUDGE_ON = 32
# Of what is multiplied: each text of a batch has many.
_MOST_INNER_ROWS = 1024


@dataclass
class EightBitProducts:
    """The pass that gives matrix products eight bits, and what it says about it afterwards.

    Attributes:
        calibration: Sets of rows: arrays [N, ...] by pinned input name.
        bound: The largest relative error of the whole, on the calibration rows, that it is content with. It leaves out
            the worst products until that is reached, or few are left.
        method: How ranges are learned, see `calibration.ranges`.
        known: Ranges that need no learning, by name of the tensor's node.
    """

    calibration: Sequence[Mapping[str, Array]] = field(repr=False)
    bound: float
    method: str = PERCENTILE
    known: Ranges = field(default_factory=dict, repr=False)
    _details: Mapping[str, Any] = field(default_factory=dict, init=False, repr=False)

    def details(self) -> Mapping[str, Any]:
        """What the manifest says of the last graph that was rewritten, JSON-ready."""
        return self._details

    def rewrite(self, graph: ForwardGraph) -> ForwardGraph:
        """Returns the graph with matrix products in eight bits.

        Raises:
            ValueError: It has none, none of them may, or there is no row to learn ranges from.
        """
        products = products_of(graph, GraphEdit(graph))
        if not products:
            raise ValueError("there is no matrix product with constant weights that is worth eight bits")
        learned = ranges(graph, tensors_of(products), self.calibration, self.method)
        learned |= {f"{name}:0": found for name, found in self.known.items() if f"{name}:0" in learned}
        rows = some_rows(self.calibration, _ROWS_TO_JUDGE_ON)
        accuracies = _judged(graph, products, learned, rows)

        def rewritten(accuracies: Sequence[LayerAccuracy]) -> ForwardGraph:
            edit = GraphEdit(graph)
            chosen = [product for product, accuracy in zip(products_of(graph, edit), accuracies, strict=True)
                      if not accuracy.reason]
            if not chosen:
                raise ValueError("every matrix product would lose too much with eight bits")
            return products_in_eight_bits(edit, chosen, learned)

        judged = within_bound(graph, rows, self.bound, accuracies, rewritten)
        self._details = judged.details(self.method, self.calibration)
        return judged.graph


def _judged(graph: ForwardGraph, products: Sequence[Product], learned: Ranges,
            rows: Sequence[Mapping[str, Array]]) -> list[LayerAccuracy]:
    sources = list(dict.fromkeys(product.source for product in products))
    seen = dict(zip(sources, _activations(graph, sources, rows), strict=True))
    accuracies = []
    for product in products:
        level = round(signal_to_noise(product, seen[product.source], learned[product.source]), 1)
        accuracies.append(LayerAccuracy(product.node.name, level, refused(level, WORST_DECIBELS)))
    return accuracies


def _activations(graph: ForwardGraph, names: Sequence[str], rows: Sequence[Mapping[str, Array]]) -> list[Array]:
    """Rows of tensors [rows, width], evenly picked."""
    most = max(_MOST_INNER_ROWS // max(len(rows), 1), 1)
    runs = [[array[::-(-len(array) // most) or 1] for array in graph.run(one, names)[len(graph.outputs):]]
            for one in rows]
    return [np.concatenate(arrays) for arrays in zip(*runs, strict=True)]
