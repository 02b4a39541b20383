"""How far a rewritten graph's answers are from those of the original, on sample inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.export.optimize.edit import node_of
from serving.export.optimize.graph import ForwardGraph

Array = NDArray[Any]

# These make large differences small, so what goes into them is compared as well.
_SQUASHING = frozenset({"Softmax", "Sigmoid"})
_PASSED_THROUGH = frozenset({"Identity", "Cast"})


@dataclass(frozen=True)
class Agreement:
    """What a comparison found.

    Attributes:
        error: The largest difference of an output, relative to that output's largest value; infinite for NaN.
        error_before_activation: The same for what goes into a final softmax or sigmoid; None where there is none.
        same_label: Share of the rows, and further places of an answer, whose largest value of the last axis is at the
            same place; None where an output has a single value there.
    """

    error: float
    error_before_activation: float | None
    same_label: float | None

    @property
    def worst(self) -> float:
        """The larger one of the errors."""
        return max(self.error, self.error_before_activation or 0.0)


@dataclass(frozen=True)
class Answers:
    """A graph's outputs, and what goes into their final activations; a list per set of samples."""

    outputs: tuple[list[Array], ...]
    before: tuple[list[Array], ...]


def answers_of(graph: ForwardGraph, samples: Sequence[Mapping[str, Array]], *, as_written: bool = False) -> Answers:
    """Computes what `agreement` compares.

    Args:
        graph: The graph.
        samples: Sets of rows: arrays [N, ...] by pinned input name.
        as_written: See `ForwardGraph.run`.
    """
    extra = _before_activations(graph)
    runs = [graph.run(rows, extra, as_written=as_written) for rows in samples]
    count = len(graph.outputs)
    return Answers(tuple(run[:count] for run in runs), tuple([np.asarray(array, np.float32) for array in run[count:]]
                                                             for run in runs))


def agreement(original: Answers, rewritten: Answers) -> Agreement:
    """Compares answers of two graphs to the same samples."""
    before = None
    if _shapes(original.before) == _shapes(rewritten.before) and any(original.before):
        before = _error(original.before, rewritten.before)
    return Agreement(_error(original.outputs, rewritten.outputs), before, _same_label(original, rewritten))


def _before_activations(graph: ForwardGraph) -> list[str]:
    nodes = {node.name: node for node in graph.graph_def.node}
    found = []
    for name in graph.outputs:
        node = nodes[node_of(name)]
        while node.op in _PASSED_THROUGH:
            node = nodes[node_of(node.input[0])]
        if node.op in _SQUASHING:
            found.append(node.input[0] if ":" in node.input[0] else f"{node.input[0]}:0")
    return found


def _error(original: Sequence[list[Array]], rewritten: Sequence[list[Array]]) -> float:
    pairs = [pair for first, second in zip(original, rewritten, strict=True)
             for pair in zip(first, second, strict=True)]
    errors = [_relative(first.astype(np.float64), second.astype(np.float64)) for first, second in pairs if first.size]
    return max(errors, default=0.0)


def _relative(original: Array, rewritten: Array) -> float:
    if original.shape != rewritten.shape or not np.isfinite(rewritten).all():
        return float("inf")
    return float(np.max(np.abs(original - rewritten)) / max(float(np.max(np.abs(original))), 1e-30))


def _same_label(original: Answers, rewritten: Answers) -> float | None:
    same = [np.argmax(first, axis=-1) == np.argmax(second, axis=-1)
            for rows, others in zip(original.outputs, rewritten.outputs, strict=True)
            for first, second in zip(rows, others, strict=True)
            if first.shape == second.shape and first.ndim > 1 and first.shape[-1] > 1]
    return float(np.mean(np.concatenate([rows.reshape(-1) for rows in same]))) if same else None


def _shapes(answers: Sequence[list[Array]]) -> list[list[tuple[int, ...]]]:
    return [[array.shape for array in rows] for rows in answers]
