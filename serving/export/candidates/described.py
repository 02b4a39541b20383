"""What manifest, report and table say about candidates: JSON-ready, three digits of what was timed."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from serving.export.candidates.choosing import Outcome
from serving.export.candidates.intervals import ratio_interval
from serving.export.candidates.plan import Selection

_PROCESSOR_FILE = Path("/proc/cpuinfo")


def described(outcomes: Sequence[Outcome], selection: Selection, tried_at_last: bool = True,
              per: str = "call") -> dict[str, Any]:
    """Returns what was compared, how, and what came of it.

    Args:
        outcomes: What `choose` returned.
        selection: What was chosen by.
        tried_at_last: Whether there was anything to compare, so that times and metric mean something.
        per: What the milliseconds are of: a "call", or a "token" of texts that are written.
    """
    plain = outcomes[0]
    metric = plain.judgement.metric if plain.judgement else selection.metric
    return {"objective": selection.objective, "batches": list(selection.batches), "tolerance": selection.tolerance,
            "least_agreement": selection.agreement,
            "metric": metric, "examples": plain.judgement.examples if plain.judgement else 0,
            "rounds": selection.rounds if tried_at_last else 0, "per": per,
            "machine": {"processor": _processor(), "cpus": len(os.sched_getaffinity(0))
                        if hasattr(os, "sched_getaffinity") else os.cpu_count()},
            "candidates": [_candidate(outcome, plain, selection) for outcome in outcomes]}


def notes_on(selection: Mapping[str, Any]) -> list[str]:
    """Returns what has to be known to read the figures.

    Args:
        selection: What `described` returned.
    """
    examples, tolerance = selection["examples"], selection["tolerance"]
    found = []
    if selection.get("per") == "token":
        found.append("Milliseconds are those of each step of the texts, which are written token by token, with the "
                     "options that a request leaves out. The same step writes a token of every text of the call.")
    if examples and 1 / examples > tolerance and selection["metric"] in ("accuracy", "recall_at_1"):
        found.append(f"{examples} examples tell no smaller loss than {1 / examples:.2%}, one of them; the tolerance is "
                     f"{tolerance:.2%}. Judge by {round(1 / tolerance) if tolerance else 'many'} examples or more, or "
                     "allow more.")
    return found


def _candidate(outcome: Outcome, plain: Outcome, selection: Selection) -> dict[str, Any]:
    candidate, judgement = outcome.candidate, outcome.judgement
    return {
        "name": candidate.name, "level": candidate.level, "run": candidate.run.name if candidate.run else None,
        "chosen": outcome.chosen, "reason": outcome.reason, "on_front": outcome.on_front,
        "size_mb": _digits(outcome.size_bytes / 1e6) if outcome.size_bytes is not None else None,
        "memory_mb": _digits(outcome.timing.memory_mb) if outcome.timing else None,
        "metric": judgement.value if judgement else None, "drop": outcome.drop, "agreement": outcome.agreement,
        "latency": [_latency(outcome, plain, rows) for rows in selection.batches] if outcome.timing else [],
    }


def _latency(outcome: Outcome, plain: Outcome, rows: int) -> dict[str, Any]:
    """Milliseconds of calls of one size; the ratio is the plain export's time over this one's: how often as fast."""
    if outcome.timing is None or plain.timing is None:
        return {}
    ratio = ratio_interval(plain.timing.rounds[rows], outcome.timing.rounds[rows])
    finite = ratio.high < float("inf")
    return {"batch": rows, "median_ms": _digits(outcome.timing.median(rows)),
            "p99_ms": _digits(outcome.timing.p99(rows)), "times_as_fast": _digits(ratio.median),
            "low": _digits(ratio.low) if finite else None, "high": _digits(ratio.high) if finite else None}


def _digits(value: float) -> float:
    return float(f"{value:.3g}")


def _processor() -> str:
    try:
        lines = _PROCESSOR_FILE.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
                platform.machine())
