from __future__ import annotations

import json

import numpy as np

from zoo.data.cleaning import CleaningReport, Exclusion, duplicate_exclusions, find_duplicates


def _report() -> CleaningReport:
    excluded = [Exclusion(f"a/{i}.jpg", "unreadable", "cut off") for i in range(5)] + [Exclusion("b/.x", "hidden")]
    return CleaningReport(checked=20, used=14, excluded=tuple(excluded), notes=("One thing.",))


def test_counts_are_per_reason_and_most_frequent_first() -> None:
    """`counts` tells how many were left out for each reason."""
    assert list(_report().counts.items()) == [("unreadable", 5), ("hidden", 1)]


def test_text_names_totals_first_sources_and_how_many_more() -> None:
    """The text stays short whatever was found, and tells that it left something out."""
    assert str(_report()).splitlines() == [
        "14 of 20 examples are used.", "  unreadable: 5", "    a/0.jpg (cut off)", "    a/1.jpg (cut off)",
        "    a/2.jpg (cut off)", "    ... and 2 more", "  hidden: 1", "    b/.x", "  One thing."]


def test_dictionary_is_json_and_lists_every_exclusion() -> None:
    """Nothing is cut from the machine-readable report."""
    data = json.loads(json.dumps(_report().to_dict()))
    assert [len(data["excluded"]), data["excluded"][5]] == [6, {"source": "b/.x", "reason": "hidden", "detail": ""}]
    assert (data["checked"], data["used"], data["counts"]["hidden"], data["notes"]) == (20, 14, 1, ["One thing."])


def test_first_of_equal_examples_is_kept() -> None:
    """Of equal contents in one class the later ones are repeats of the first."""
    found = find_duplicates(np.array([b"a", b"b", b"a", b"a"]), np.zeros(4, np.int32), np.zeros(4, np.int8))
    assert found.repeats.tolist() == [[2, 0], [3, 0]]
    assert found.conflicts.tolist() == []


def test_priority_decides_which_copy_is_kept() -> None:
    """A copy of higher priority is kept, even if it comes later."""
    found = find_duplicates(np.array([b"a", b"a", b"a"]), None, np.array([0, 2, 1]))
    assert found.repeats.tolist() == [[0, 1], [2, 1]]


def test_equal_examples_of_different_classes_all_conflict() -> None:
    """Nobody knows which label is right, so none of the copies counts as the right one."""
    found = find_duplicates(np.array([b"a", b"b", b"a", b"a"]), np.array([0, 0, 1, 0], np.int32), np.zeros(4))
    assert found.repeats.tolist() == []
    assert [pair[0] for pair in found.conflicts.tolist()] == [0, 2, 3]
    classes = [0, 0, 1, 0]
    assert all(classes[i] != classes[j] for i, j in found.conflicts.tolist())


def test_without_classes_nothing_conflicts() -> None:
    """A regression has repeats only."""
    assert find_duplicates(np.array([b"a", b"a"]), None, np.zeros(2)).conflicts.tolist() == []


def test_no_examples_have_no_duplicates() -> None:
    """An empty dataset is no special case for the caller."""
    found = find_duplicates(np.zeros(0, "S16"), np.zeros(0, np.int32), np.zeros(0, np.int8))
    assert found.repeats.shape == found.conflicts.shape == (0, 2)


def test_exclusions_name_the_other_copy_in_order() -> None:
    """Each duplicate is listed with the source of the copy that stands for it."""
    found = find_duplicates(np.array([b"a", b"b", b"a", b"b"]), np.array([0, 0, 1, 0], np.int32), np.zeros(4))
    assert duplicate_exclusions(found, ["p", "q", "r", "s"]) == [
        Exclusion("p", "conflicting labels", "same content as r"),
        Exclusion("r", "conflicting labels", "same content as p"),
        Exclusion("s", "duplicate", "same content as q")]
