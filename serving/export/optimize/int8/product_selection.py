"""Which matrix products are given eight bits: all whose own error is small, and not more than the whole can bear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serving.export.optimize.edit import GraphEdit
from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.int8.accuracy import LayerAccuracy, some_rows
from serving.export.optimize.int8.calibration import MIN_MAX, MSE, PERCENTILE, ranges_by_method
from serving.export.optimize.int8.judging import refused, within_bound
from serving.export.optimize.int8.product_chains import Product, products_of
from serving.export.optimize.int8.products import Ranges, products_in_eight_bits, signals_to_noise, tensors_of
from serving.export.optimize.int8.smoothing import smoothed, smoothing_factors

# Each tensor has the range with which the products that read it come out best. What is far out decides many products of
# a trained Transformer, and must not be cut off; in others it is rare and costs all the rest their bits.
MEASURED = "measured"
# Of equally good ones the first, which covers the most, is taken.
_TRIED = (MIN_MAX, MSE, PERCENTILE)
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
        method: How ranges are learned, see `calibration.ranges`; "measured" tries several for each tensor.
        known: Ranges that need no learning, by name of the tensor's node.
        smooths: Whether what is multiplied may be made even, see `smoothing`.
    """

    calibration: Sequence[Mapping[str, Array]] = field(repr=False)
    bound: float
    method: str = MEASURED
    known: Ranges = field(default_factory=dict, repr=False)
    smooths: bool = True
    _details: Mapping[str, Any] = field(default_factory=dict, init=False, repr=False)

    def details(self) -> Mapping[str, Any]:
        """What the manifest says of the last graph that was rewritten, JSON-ready."""
        return self._details

    def rewrite(self, graph: ForwardGraph) -> ForwardGraph:
        """Returns the graph with matrix products in eight bits.

        Raises:
            ValueError: It has none, none of them may, or there is no row to learn ranges from.
        """
        plain = products_of(graph, GraphEdit(graph))
        if not plain:
            raise ValueError("there is no matrix product with constant weights that is worth eight bits")
        rows = some_rows(self.calibration, _ROWS_TO_JUDGE_ON)
        known = {f"{name}:0": found for name, found in self.known.items()}
        factors = self._factors(graph, plain, rows, known)
        even = smoothed(graph, factors)
        products = products_of(even, GraphEdit(even))
        tried = ranges_by_method(even, tensors_of(products), self.calibration,
                                 _TRIED if self.method == MEASURED else [self.method])
        learned, methods, accuracies = _judged(even, products, tried, known, rows)

        def rewritten(accuracies: Sequence[LayerAccuracy]) -> ForwardGraph:
            chosen = {accuracy.name for accuracy in accuracies if not accuracy.reason}
            if not chosen:
                raise ValueError("every matrix product would lose too much with eight bits")
            wanted = {product.source for product in plain if product.node.name in chosen}
            part = smoothed(graph, {source: found for source, found in factors.items() if source in wanted})
            edit = GraphEdit(part)
            return products_in_eight_bits(edit, [product for product in products_of(part, edit)
                                                 if product.node.name in chosen], learned)

        judged = within_bound(graph, rows, self.bound, accuracies, rewritten)
        self._details = {**judged.details(self.method, self.calibration), "smoothed": len(factors),
                         "ranges": dict(Counter(methods.values()))}
        return judged.graph

    def _factors(self, graph: ForwardGraph, products: Sequence[Product], rows: Sequence[Mapping[str, Array]],
                 known: Ranges) -> dict[str, Array]:
        """What to divide by; where training has learned a range, nothing, for it learned with the rest as it is."""
        if not self.smooths or not rows:
            return {}
        sources = [source for source in dict.fromkeys(product.source for product in products) if source not in known]
        seen = dict(zip(sources, _activations(graph, sources, rows), strict=True))
        return smoothing_factors(graph, products, self.calibration, seen, WORST_DECIBELS)


def _judged(graph: ForwardGraph, products: Sequence[Product], tried: Mapping[str, Ranges], known: Ranges,
            rows: Sequence[Mapping[str, Array]]) -> tuple[Ranges, dict[str, str], list[LayerAccuracy]]:
    """The chosen ranges, the methods that gave those of what is multiplied, and what is left of each product."""
    sources = list(dict.fromkeys(product.source for product in products))
    seen = dict(zip(sources, _activations(graph, sources, rows), strict=True))
    learned, methods, levels = {**next(iter(tried.values())), **known}, dict[str, str](), dict[str, float]()
    for source in sources:
        choices = {known[source]: "known"} if source in known else {}
        if not choices:
            for method, found in tried.items():
                choices.setdefault(found[source], method)
        readers = [product for product in products if product.source == source]
        # [readers, ranges]
        measured = np.array([signals_to_noise(product, seen[source], list(choices)) for product in readers])
        best = int(np.argmax(measured.min(axis=0)))
        learned[source], methods[source] = list(choices.items())[best]
        levels |= {product.node.name: round(float(level), 1)
                   for product, level in zip(readers, measured[:, best], strict=True)}
    return learned, methods, [_accuracy(product, levels[product.node.name]) for product in products]


def _accuracy(product: Product, level: float) -> LayerAccuracy:
    return LayerAccuracy(product.node.name, level, refused(level, WORST_DECIBELS))


def _activations(graph: ForwardGraph, names: Sequence[str], rows: Sequence[Mapping[str, Array]]) -> list[Array]:
    """Rows of tensors [rows, width], evenly picked."""
    most = max(_MOST_INNER_ROWS // max(len(rows), 1), 1)
    runs = [[array[::-(-len(array) // most) or 1] for array in graph.run(one, names)[len(graph.outputs):]]
            for one in rows]
    return [np.concatenate(arrays) for arrays in zip(*runs, strict=True)]
