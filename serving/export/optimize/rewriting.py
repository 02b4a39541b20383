"""Runs the passes over a model's forward pass, compares after each, and keeps those that agree with the original."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import tensorflow as tf

from serving.errors import ExportError
from serving.export.optimize.agreement import Agreement, Answers, agreement, answers_of
from serving.export.optimize.edit import in_order
from serving.export.optimize.graph import Array, ForwardGraph

UNCHANGED = "it found nothing to change"


@dataclass(frozen=True)
class Pass:
    """A rewrite, and when its result is kept.

    Attributes:
        name: Its name.
        rewrite: What it does; ValueError for a graph that it is not for.
        bound: The largest relative error, against the original, with which its result is kept.
        details: What there is to say about its last run, JSON-ready.
    """

    name: str
    rewrite: Callable[[ForwardGraph], ForwardGraph]
    bound: float
    details: Callable[[], Mapping[str, Any]] = dict


@dataclass(frozen=True)
class PassReport:
    """What became of a pass.

    Attributes:
        name: Its name.
        kept: Whether its result was kept.
        nodes: How many nodes its result has.
        error: See `Agreement`; of everything up to this pass. None if it could not be run.
        error_before_activation: See `Agreement`.
        same_label: See `Agreement`.
        reason: Why it was not kept; empty if it was.
        details: What the pass itself says about it, JSON-ready.
    """

    name: str
    kept: bool
    nodes: int
    error: float | None = None
    error_before_activation: float | None = None
    same_label: float | None = None
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rewriting:
    """A rewritten forward pass and how it came about.

    Attributes:
        graph: The last graph that agreed with the original.
        nodes: How many nodes the original has.
        passes: The reports, in order.
        rows: How many rows were compared.
    """

    graph: ForwardGraph = field(repr=False)
    nodes: int
    passes: tuple[PassReport, ...]
    rows: int

    @property
    def last(self) -> PassReport | None:
        """The report of the last pass that was kept: what it says holds for the graph."""
        return next((report for report in reversed(self.passes) if report.kept), None)

    @property
    def changed(self) -> bool:
        """Whether any pass was kept."""
        return self.last is not None

    def kept(self, name: str) -> bool:
        """Whether the pass of this name was kept."""
        return any(report.kept for report in self.passes if report.name == name)

    def to_dict(self) -> dict[str, Any]:
        """The reports as JSON-ready data."""
        return {"nodes": self.nodes, "rows": self.rows, "passes": [asdict(report) for report in self.passes]}


def rewrite(original: ForwardGraph, passes: Sequence[Pass], samples: Sequence[Mapping[str, Array]]) -> Rewriting:
    """Runs passes one by one.

    Args:
        original: The model's own graph.
        passes: What to try, in order. The result of one that raises ValueError, or is further from the original than
            its bound, is dropped, and the next one starts from the graph before it.
        samples: Sets of rows to compare on: arrays [N, ...] by pinned input name.

    Raises:
        ExportError: There is no sample.
    """
    rows = sum(len(next(iter(arrays.values()))) for arrays in samples)
    if not rows:
        raise ExportError("A rewritten model is compared with the original on samples, and there are none. Give "
                          "`samples` of at least one row.")
    # TensorFlow's optimisers would rewrite the original in the session, too, and hide what they change.
    expected = answers_of(original, samples, as_written=True)
    graph, reports = in_order(original), []
    for step in passes:
        candidate, report = _tried(step, graph, expected, samples)
        reports.append(report)
        graph = candidate if report.kept else graph
    return Rewriting(graph, len(original.graph_def.node), tuple(reports), rows)


def _tried(step: Pass, graph: ForwardGraph, expected: Answers,
           samples: Sequence[Mapping[str, Array]]) -> tuple[ForwardGraph, PassReport]:
    try:
        candidate = step.rewrite(graph)
        if candidate.graph_def == graph.graph_def:
            return graph, PassReport(step.name, False, len(graph.graph_def.node), reason=UNCHANGED)
        found = agreement(expected, answers_of(candidate, samples))
    except (ValueError, tf.errors.OpError) as error:
        return graph, PassReport(step.name, False, len(graph.graph_def.node), reason=_line(error))
    nodes = len(candidate.graph_def.node)
    return candidate, PassReport(step.name, found.worst <= step.bound, nodes, _digits(found.error),
                                 _digits(found.error_before_activation), found.same_label, _too_far(found, step.bound),
                                 step.details())


def _too_far(found: Agreement, bound: float) -> str:
    return f"it is {found.worst:.2g} off, allowed is {bound:.2g}" if not found.worst <= bound else ""


def _digits(value: float | None) -> float | None:
    return None if value is None or value == float("inf") else float(f"{value:.2g}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
