"""Which candidates the words `auto` and `max` stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from serving.errors import ExportError
from serving.export.optimize.levels import LEVELS, NONE

AUTO, MAX = "auto", "max"
OBJECTIVES = ("latency", "throughput", "size")
# From the simplest on: of two that are equally good, the one that does less to the model is kept.
_SIMPLEST_FIRST = ("none", "safe", "bfloat16", "int8_weights", "int4_weights", "int8")
_AUTO_LEVELS = ("none", "safe", "bfloat16", "int8")
_WRITING_LEVELS = ("none", "bfloat16", "int8")
_LEARNING = ("int8",)  # levels that learn ranges from calibration rows

# Examples to learn from or to judge by: a part of a dataset, or what makes one for a model's record.
Examples = Any
ExamplesFor = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An export to try.

    Attributes:
        name: How it is called in tables; the level, behind the name of its run where it is another model.
        level: "none" or of `LEVELS`.
        run: The folder of another model for the same task; None for the model itself.
        reason: Why it is not even tried; empty if it is.
    """

    name: str
    level: str
    run: Path | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What to choose by.

    Attributes:
        objective: "latency" (milliseconds of a call of the smallest of `batches`), "throughput" (examples per second
            in calls of the largest) or "size" (bytes that a server reads).
        batches: Examples in the timed calls.
        tolerance: By how much of itself the metric may become worse, such as 0.005.
        agreement: The least share of examples to which another level of the same model gives the same best label.
        metric: What counts as quality, of `zoo.evaluation`; empty takes the task's first.
        calibration: Examples to learn ranges from.
        validation: Examples to judge by.
        runs: Folders of further models for the same task, such as pruned or distilled ones.
        report: Folder for candidates.json and candidates.png; None for neither.
        rounds: How often each candidate takes its turn.
        seconds: How long a turn is, for each of `batches`.
    """

    objective: str = "latency"
    batches: tuple[int, ...] = (1, 8)
    tolerance: float = 0.005
    agreement: float = 0.98
    metric: str = ""
    calibration: Examples | None = None
    validation: Examples | None = None
    runs: tuple[Path, ...] = ()
    report: Path | None = None
    rounds: int = 9
    seconds: float = 0.3

    def __post_init__(self) -> None:
        """Refuses values that mean nothing."""
        if self.objective not in OBJECTIVES:
            raise ExportError(f"`objective` is one of {', '.join(OBJECTIVES)}. Received: {self.objective!r}")
        if not self.batches or any(isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 1024
                                   for size in self.batches):
            raise ExportError(f"`batches` are numbers of examples in a call, each from 1 to 1024. "
                              f"Received: {self.batches!r}")
        if not 0 <= self.tolerance < 1:
            raise ExportError(f"`tolerance` is the share of the metric that may be lost, from 0 to below 1, such as "
                              f"0.005. Received: {self.tolerance!r}")
        if not 0 <= self.agreement <= 1:
            raise ExportError(f"`agreement` is the share of examples whose best label must stay, from 0 to 1, such as "
                              f"0.98. Received: {self.agreement!r}")


def candidates_of(word: str, selection: Selection, *, writes: bool = False) -> list[Candidate]:
    """Returns what to try, the plain export first, then from the simplest on.

    Args:
        word: "auto" for the levels that are made for speed, "max" for all, those for size among them.
        selection: Which further models there are, and whether there is anything to learn ranges from.
        writes: Whether the models write texts: the loop that does so computes its parameters in the numbers of a
            level and has nothing else that a level could change or learn.
    """
    levels = [level for level in _ordered((NONE, *LEVELS)) if level in (_WRITING_LEVELS if writes else _AUTO_LEVELS)
              or (word == MAX and not writes)]
    if writes:
        selection = replace(selection, calibration=selection.calibration or ())
    found = [Candidate(name=level, level=level, reason=_reason_against(level, selection)) for level in levels]
    for run, name in zip(selection.runs, _names(selection.runs), strict=True):
        found += [Candidate(name=f"{name} {level}", level=level, run=run, reason=_reason_against(level, selection))
                  for level in levels]
    return found


def _ordered(levels: Sequence[str]) -> list[str]:
    places = {level: place for place, level in enumerate(_SIMPLEST_FIRST)}
    return sorted(levels, key=lambda level: places.get(level, len(places)))


def _names(runs: Sequence[Path]) -> list[str]:
    names = [run.absolute().name for run in runs]
    return [name if names.count(name) == 1 else str(run) for name, run in zip(names, runs, strict=True)]


def _reason_against(level: str, selection: Selection) -> str:
    if level in _LEARNING and selection.calibration is None:
        return "it learns ranges from examples, and there is no calibration data"
    return ""


def examples_for(examples: Examples | ExamplesFor | None, record: Any) -> Any:
    """Returns examples as a model reads them.

    Args:
        examples: A part of a dataset, or a function that makes one for a record.
        record: The model's record.
    """
    return examples(record) if callable(examples) else examples
