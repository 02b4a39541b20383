"""What the passes to eight bits share: they leave out the noisiest layers until the whole is near enough, and tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serving.export.optimize.agreement import Agreement, agreement, answers_of
from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.int8.accuracy import LayerAccuracy, summary, without_worst

_TRIES = 5


@dataclass(frozen=True)
class Judged:
    """A graph in eight bits.

    Attributes:
        graph: The graph.
        found: How far it is from the one before.
        accuracies: All layers, with the reasons of those that stayed as they were.
    """

    graph: ForwardGraph
    found: Agreement
    accuracies: Sequence[LayerAccuracy]

    def details(self, method: str, calibration: Sequence[Mapping[str, Array]]) -> dict[str, Any]:
        """What the manifest says, JSON-ready.

        Args:
            method: How ranges were learned.
            calibration: The rows that they were learned from.
        """
        count = sum(len(next(iter(each.values()))) for each in calibration)
        return {"method": method, "rows": count, "error": float(f"{self.found.worst:.2g}"),
                "same_label": self.found.same_label, **summary(self.accuracies)}


def refused(decibels: float, wanted: float) -> str:
    """Why a layer stays as it is, or nothing where its result is clear enough."""
    return f"{decibels:.0f} dB over the noise, wanted are {wanted:.0f}" if decibels < wanted else ""


def within_bound(graph: ForwardGraph, rows: Sequence[Mapping[str, Array]], bound: float,
                 accuracies: Sequence[LayerAccuracy],
                 rewritten: Callable[[Sequence[LayerAccuracy]], ForwardGraph]) -> Judged:
    """Gives layers eight bits, fewer and fewer of them, until the whole is within a bound or few are left.

    Args:
        graph: The graph before.
        rows: What it is judged on.
        bound: The largest relative error.
        accuracies: All layers.
        rewritten: Makes the graph in which those without a reason compute in eight bits.

    Raises:
        ValueError: `rewritten` found none left.
    """
    expected = answers_of(graph, rows)
    for tries_left in reversed(range(_TRIES)):
        candidate = rewritten(accuracies)
        found = agreement(expected, answers_of(candidate, rows))
        if found.worst <= bound or not tries_left:
            break
        accuracies = without_worst(accuracies, f"with it the whole is {found.worst:.2g} off")
    return Judged(candidate, found, accuracies)
