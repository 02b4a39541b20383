"""Entities in tagged words: what "B-PER I-PER O" names, and how many of them were found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.evaluation.measurement import Floats, Integers

_BEGIN = ("B", "S")  # S is a single word in the scheme IOBES
_INSIDE = ("I", "E")

Entity = tuple[str, int, int]


def has_entities(labels: Sequence[str]) -> bool:
    """Returns whether labels are tags of a scheme such as IOB: "O", and others like "B-PER" or "I-PER"."""
    others = [label for label in labels if label != "O"]
    return bool(others) and all(label[:2] in ("B-", "I-", "E-", "S-") and len(label) > 2 for label in others)


def entities(tags: Sequence[str]) -> set[Entity]:
    """Returns the entities of one sentence.

    As usual, an entity that begins with "I-" counts as one, and one of another kind begins a new entity.

    Args:
        tags: The tag of each word.

    Returns:
        (kind, first word, word behind the last) of each.
    """
    found: set[Entity] = set()
    kind, start = "", 0
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if kind and (prefix not in _INSIDE or name != kind):
            found.add((kind, start, place))
            kind = ""
        if prefix in _BEGIN or (prefix in _INSIDE and not kind):
            kind, start = name, place
    return found


@dataclass(frozen=True, eq=False)
class EntityCounts:
    """Entities of each of N sentences by kind, [N, K] each: found rightly, said, and true."""

    kinds: tuple[str, ...]
    right: Floats
    said: Floats
    true: Floats


def count_entities(example: Integers, targets: Integers, predicted: Integers, labels: Sequence[str],
                   count: int) -> EntityCounts:
    """Compares entities sentence by sentence: one is right if its kind, beginning and end are.

    Args:
        example: Which sentence each word is in, int64 [T], rising.
        targets: True tag of each word, int64 [T].
        predicted: Said tag of each word, int64 [T].
        labels: The tags.
        count: Number of sentences N.
    """
    kinds = tuple(sorted({label[2:] for label in labels if label != "O"}))
    number = {kind: index for index, kind in enumerate(kinds)}
    totals = np.zeros((3, count, len(kinds)))
    bounds = np.searchsorted(example, np.arange(count + 1))
    for sentence in range(count):
        words = slice(bounds[sentence], bounds[sentence + 1])
        true = entities([labels[index] for index in targets[words]])
        said = entities([labels[index] for index in predicted[words]])
        for total, chosen in zip(totals, (true & said, said, true), strict=True):
            for kind, _, _ in chosen:
                total[sentence, number[kind]] += 1
    return EntityCounts(kinds, *totals)


@dataclass(frozen=True, kw_only=True)
class EntityResult:
    """How one kind of entity fared; None where a figure is undefined.

    Attributes:
        label: The kind.
        support: How many there are.
        predicted: How many were named.
        precision: Of those named, the share that is right.
        recall: Of those that there are, the share that was found.
        f1: Harmonic mean of the two.
    """

    label: str
    support: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None

    def to_dict(self) -> dict[str, Any]:
        """Returns the row as JSON-ready data."""
        return dict(vars(self))


def entity_results(counts: EntityCounts) -> tuple[EntityResult, ...]:
    """Builds the table of kinds of entities."""
    rows = []
    for index, kind in enumerate(counts.kinds):
        right, said, true = (float(table[:, index].sum()) for table in (counts.right, counts.said, counts.true))
        rows.append(EntityResult(label=kind, support=int(true), predicted=int(said),
                                 precision=right / said if said else None, recall=right / true if true else None,
                                 f1=2 * right / (said + true) if said + true else None))
    return tuple(rows)
