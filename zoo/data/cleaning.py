"""What was found in a dataset before training: what is left out, why, and how much of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Reason = Literal[
    "hidden", "not in a class folder", "not a class", "not an image", "not a text", "unreadable", "empty",
    "no label", "not a number", "duplicate", "conflicting labels",
]

_SHOWN_PER_REASON = 3


@dataclass(frozen=True)
class Exclusion:
    """One file or row that is not used.

    Attributes:
        source: The file's path, or "file.csv:12" for line 12 of a file.
        reason: One of a few words, the same for all exclusions of a kind.
        detail: What was found, in one line; for a duplicate the source that is used in its place.
    """

    source: str
    reason: Reason
    detail: str = ""


@dataclass(frozen=True)
class CleaningReport:
    """What the check of a dataset found; nothing is left out of training without an entry here.

    Attributes:
        checked: Number of files or rows that were looked at.
        used: Number of examples in all parts of the split together.
        excluded: Every file or row that is not used.
        notes: Findings that excluded nothing, one sentence each.
    """

    checked: int
    used: int
    excluded: tuple[Exclusion, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Number of exclusions per reason, most frequent first."""
        counter: Counter[str] = Counter(exclusion.reason for exclusion in self.excluded)
        return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as JSON-ready data."""
        return {
            "checked": self.checked,
            "used": self.used,
            "counts": self.counts,
            "excluded": [{"source": e.source, "reason": e.reason, "detail": e.detail} for e in self.excluded],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        """A few lines: totals, then per reason the count and the first sources."""
        lines = [f"{self.used} of {self.checked} examples are used."]
        for reason, count in self.counts.items():
            lines.append(f"  {reason}: {count}")
            entries = [e for e in self.excluded if e.reason == reason]
            lines += [f"    {e.source}{f' ({e.detail})' if e.detail else ''}" for e in entries[:_SHOWN_PER_REASON]]
            if count > _SHOWN_PER_REASON:
                lines.append(f"    ... and {count - _SHOWN_PER_REASON} more")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


@dataclass(frozen=True)
class Duplicates:
    """Which examples repeat the content of another.

    Attributes:
        repeats: int64 [n, 2]: index of a repeated example and of the one that is used in its place.
        conflicts: int64 [n, 2]: index of an example whose content also stands under another label, and of one
            such other example.
    """

    repeats: np.ndarray
    conflicts: np.ndarray


def find_duplicates(digests: np.ndarray, classes: np.ndarray | None, priority: np.ndarray) -> Duplicates:
    """Finds examples of the same content.

    Args:
        digests: Content digest of every example, shape [n], any sortable dtype.
        classes: Class index of every example, shape [n]; None where there are no classes (then nothing conflicts).
        priority: Integer [n]; of several equal examples the one of the highest priority is kept, and among those
            the first.
    """
    _, group = np.unique(digests, return_inverse=True)
    order = np.lexsort((np.arange(len(group)), -priority.astype(np.int64), group))
    starts = np.r_[True, np.diff(group[order]) != 0] if len(order) else np.zeros(0, bool)
    keeper = np.empty(int(group.max()) + 1 if len(group) else 0, np.int64)
    keeper[group[order[starts]]] = order[starts]
    other = _other_class(group, classes, len(keeper))
    conflicting = other >= 0
    repeated = (keeper[group] != np.arange(len(group))) & ~conflicting
    indices = np.arange(len(group))
    return Duplicates(repeats=np.stack([indices[repeated], keeper[group][repeated]], axis=1),
                      conflicts=np.stack([indices[conflicting], other[conflicting]], axis=1))


def _other_class(group: np.ndarray, classes: np.ndarray | None, groups: int) -> np.ndarray:
    """Returns for every example one example of its content but another class, or -1."""
    none = np.full(len(group), -1, np.int64)
    if classes is None or not len(group):
        return none
    lowest, highest = np.full(groups, -1, np.int64), np.full(groups, -1, np.int64)
    by_class = np.argsort(classes, kind="stable")
    highest[group[by_class]] = by_class  # the last write wins
    lowest[group[by_class[::-1]]] = by_class[::-1]
    mixed = classes[lowest[group]] != classes[highest[group]]
    other = np.where(classes[lowest[group]] != classes, lowest[group], highest[group])
    return np.where(mixed, other, none)


def duplicate_exclusions(found: Duplicates, names: Sequence[str]) -> list[Exclusion]:
    """Returns the exclusions of duplicates, in the order of the examples.

    Args:
        found: What `find_duplicates` returned.
        names: Source of every example.
    """
    entries = [(int(i), Exclusion(names[int(i)], "duplicate", f"same content as {names[int(j)]}"))
               for i, j in found.repeats]
    entries += [(int(i), Exclusion(names[int(i)], "conflicting labels", f"same content as {names[int(j)]}"))
                for i, j in found.conflicts]
    return [exclusion for _, exclusion in sorted(entries, key=lambda entry: entry[0])]
