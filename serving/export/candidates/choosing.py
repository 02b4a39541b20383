"""Which candidate is kept, and for each other one why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from serving.export.candidates.intervals import Interval, ratio_interval
from serving.export.candidates.judging import Judgement
from serving.export.candidates.plan import Candidate, Selection
from serving.export.candidates.race import Timing

# A gain below this is not worth another graph, however surely it was measured.
_LEAST_GAIN = 0.02


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a candidate.

    Attributes:
        candidate: Which.
        record: What its export says of its graph.
        size_bytes: What a server reads; None if it was not exported.
        timing: How fast it is; None if it was not timed.
        judgement: How good it is; None if it was not judged.
        drop: By which share the metric is worse than that of the plain export.
        agreement: The share of examples to which it gives the same label as the plain export.
        reason: Why it is not the one; empty for the one.
        chosen: Whether it is the one.
        on_front: Whether no other one is better in one of time, size and metric and as good in the others.
    """

    candidate: Candidate
    record: dict[str, Any] = field(default_factory=dict)
    size_bytes: int | None = None
    timing: Timing | None = None
    judgement: Judgement | None = None
    drop: float | None = None
    agreement: float | None = None
    reason: str = ""
    chosen: bool = False
    on_front: bool = False

    @property
    def complete(self) -> bool:
        """Whether it was exported, timed and judged."""
        return None not in (self.size_bytes, self.timing, self.judgement)


def choose(outcomes: Sequence[Outcome], selection: Selection) -> list[Outcome]:
    """Chooses among candidates.

    Args:
        outcomes: The plain export first, which is complete, then from the simplest on. Those that are within the
            tolerance compete; a later one wins only if it is better by more than the noise of the rounds, so that the
            simpler one is kept where there is no difference.
        selection: What to choose by.

    Returns:
        The same, with the chosen one marked and a reason on every other.
    """
    judged = [_within(outcome, outcomes[0], selection) for outcome in outcomes]
    best = judged[0]
    for outcome in judged[1:]:
        ratio = gain(outcome, best, selection)
        if not outcome.reason and ratio.high < 1 and ratio.median < 1 - _LEAST_GAIN:
            best = outcome
    front = {id(outcome) for outcome in _front(judged, selection)}
    return [replace(outcome, chosen=outcome is best, on_front=id(outcome) in front,
                    reason="" if outcome is best else outcome.reason or _reason_behind(outcome, best, selection))
            for outcome in judged]


def gain(one: Outcome, other: Outcome, selection: Selection) -> Interval:
    """The ratio of what is to be small, below 1 where the first is better: milliseconds, or bytes.

    Args:
        one: A complete outcome.
        other: Another.
        selection: With the objective.
    """
    if selection.objective == "size":
        ratio = (one.size_bytes or 0) / (other.size_bytes or 1)
        return Interval(ratio, ratio, ratio)
    if one.timing is None or other.timing is None:
        return Interval(1.0, 0.0, float("inf"))
    rows = counted_rows(selection)
    return ratio_interval(one.timing.rounds[rows], other.timing.rounds[rows])


def counted_rows(selection: Selection) -> int:
    """The examples in the calls that the objective is about."""
    return max(selection.batches) if selection.objective == "throughput" else min(selection.batches)


def _within(outcome: Outcome, plain: Outcome, selection: Selection) -> Outcome:
    """Refuses what was not measured, and what is worse than the tolerance allows."""
    if outcome.reason or not outcome.complete or outcome.judgement is None or plain.judgement is None:
        return outcome if outcome.reason else replace(outcome, reason="it could not be measured")
    drop = plain.judgement.drop_of(outcome.judgement)
    agreement = plain.judgement.agreement_with(outcome.judgement)
    reason = ""
    if drop > selection.tolerance:
        reason = f"worse: {outcome.judgement.metric} is {drop:.2%} off, allowed is {selection.tolerance:.2%}"
    elif outcome.candidate.run is None and agreement is not None and agreement < selection.agreement:
        # Another model may be as good in other places; the same one in fewer bits has no reason to be.
        reason = f"other labels: {agreement:.2%} are as before, {selection.agreement:.2%} must be"
    return replace(outcome, drop=drop, agreement=agreement, reason=reason)


def _reason_behind(outcome: Outcome, best: Outcome, selection: Selection) -> str:
    ratio = gain(outcome, best, selection)
    name = best.candidate.name
    if selection.objective == "size":
        return f"no smaller than {name}: {ratio.median:.2f} times its size"
    measured = f"{ratio.median:.2f} times its milliseconds, {ratio.low:.2f} to {ratio.high:.2f}"
    if ratio.low > 1:
        return f"slower than {name}: {measured}"
    return f"not surely faster than {name}, which is kept: {measured}"


def _front(outcomes: Sequence[Outcome], selection: Selection) -> list[Outcome]:
    """Those that no other one beats in time, size and metric together."""
    complete = [outcome for outcome in outcomes if outcome.complete]
    places = [_place(outcome, selection) for outcome in complete]
    return [outcome for outcome, place in zip(complete, places, strict=True)
            if not any(_dominates(other, place) for other in places)]


def _place(outcome: Outcome, selection: Selection) -> tuple[float, float, float]:
    milliseconds = outcome.timing.median(counted_rows(selection)) if outcome.timing else float("inf")
    return milliseconds, float(outcome.size_bytes or 0), outcome.drop or 0.0


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return tuple(one) != tuple(other) and all(a <= b for a, b in zip(one, other, strict=True))
