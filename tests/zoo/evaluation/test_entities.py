"""Entities: what counts as one, and how many were found."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.evaluation.entities import count_entities, entities, entity_results, has_entities


@pytest.mark.parametrize(("tags", "expected"), [
    ("B-PER I-PER O B-LOC", {("PER", 0, 2), ("LOC", 3, 4)}),
    ("B-PER B-PER I-PER", {("PER", 0, 1), ("PER", 1, 3)}),
    ("I-PER I-LOC O I-LOC", {("PER", 0, 1), ("LOC", 1, 2), ("LOC", 3, 4)}),
    ("S-PER B-LOC I-LOC E-LOC", {("PER", 0, 1), ("LOC", 1, 4)}),
    ("O O", set()),
    ("", set()),
])
def test_entities(tags: str, expected: set[tuple[str, int, int]]) -> None:
    """IOB, IOB2 and IOBES, also where an entity begins with I or follows another directly."""
    assert entities(tags.split()) == expected


def test_schemes_are_told_from_plain_tags() -> None:
    """Parts of speech are no entities."""
    assert has_entities(("O", "B-PER", "I-PER"))
    assert not has_entities(("NOUN", "VERB"))
    assert not has_entities(("O",))
    assert not has_entities(("O", "B-", "X"))


def test_counts_are_per_sentence() -> None:
    """An entity with a wrong end or kind is wrong, and one may not go over the end of a sentence."""
    labels = ("O", "B-A", "I-A", "B-B")
    example = np.array([0, 0, 0, 1, 1, 2])
    true = np.array([1, 2, 0, 1, 2, 3])
    said = np.array([1, 0, 0, 1, 2, 1])
    counts = count_entities(example, true, said, labels, 4)
    assert counts.kinds == ("A", "B")
    assert counts.right.tolist() == [[0, 0], [1, 0], [0, 0], [0, 0]]
    assert counts.said.tolist() == [[1, 0], [1, 0], [1, 0], [0, 0]]
    assert counts.true.tolist() == [[1, 0], [1, 0], [0, 1], [0, 0]]
    first, second = entity_results(counts)
    assert (first.precision, first.recall, first.f1) == (pytest.approx(1 / 3), 0.5, pytest.approx(0.4))
    assert (second.support, second.predicted, second.precision, second.recall) == (1, 0, None, 0.0)
