from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.data.fingerprints import content_digest
from zoo.data.splitting import TEST, TRAIN, VALIDATION, SplitFractions, assign_parts, check_class_sizes
from zoo.errors import ArgumentError, DataError


def _digests(count: int, prefix: str = "") -> np.ndarray:
    return np.array([content_digest(f"{prefix}{i}".encode()) for i in range(count)], "S16")


def test_each_class_is_divided_by_the_fractions() -> None:
    """The split is stratified: every class has its own fractions, to the nearest example."""
    classes = np.array([0] * 100 + [1] * 20, np.int32)
    parts = assign_parts(_digests(120), classes, SplitFractions(validation=0.2, test=0.1))
    counts = [[int((parts[classes == c] == part).sum()) for part in (TRAIN, VALIDATION, TEST)] for c in (0, 1)]
    assert counts == [[70, 20, 10], [14, 4, 2]]


@given(sizes=st.lists(st.integers(3, 12), min_size=2, max_size=5), seed=st.integers(-9, 9),
       validation=st.floats(0.01, 0.49), test=st.floats(0.01, 0.49))
def test_every_class_is_in_every_part(sizes: list[int], seed: int, validation: float, test: float) -> None:
    """Three examples of a class are enough for all three parts, whatever the fractions and the seed."""
    classes = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    parts = assign_parts(_digests(len(classes)), classes, SplitFractions(validation=validation, test=test, seed=seed))
    for index in range(len(sizes)):
        assert set(parts[classes == index].tolist()) == {TRAIN, VALIDATION, TEST}


def test_order_of_the_examples_does_not_matter() -> None:
    """The same contents get the same parts in whatever order the file system lists them."""
    digests, classes = _digests(60), np.arange(60, dtype=np.int32) % 3
    shuffled = np.random.default_rng(1).permutation(60)
    fractions = SplitFractions(seed=5)
    parts = assign_parts(digests, classes, fractions)
    assert (assign_parts(digests[shuffled], classes[shuffled], fractions) == parts[shuffled]).all()


def test_the_split_is_the_same_on_every_machine() -> None:
    """The parts of some contents and a seed are pinned: a change here would mix tested and learnt examples."""
    parts = assign_parts(_digests(12), None, SplitFractions(validation=0.25, test=0.25, seed=3))
    assert "".join(str(part) for part in parts) == "102120000102"


def test_seeds_choose_different_examples() -> None:
    """Another seed is another split."""
    first, second = (assign_parts(_digests(40), None, SplitFractions(seed=seed)) for seed in (0, 1))
    assert (first != second).any()


def test_one_more_example_moves_few_others() -> None:
    """Adding an example does not shuffle everything: at most one other crosses each of the two boundaries."""
    digests = _digests(200)
    before = assign_parts(digests[:199], None, SplitFractions())
    after = assign_parts(digests, None, SplitFractions())[:199]
    assert int((before != after).sum()) <= 2
    assert not ((before == TEST) & (after == VALIDATION)).any()


def test_equal_contents_come_into_the_same_part() -> None:
    """What is kept twice is never learnt in one part and tested in another."""
    digests = np.repeat(_digests(15), 4)
    parts = assign_parts(digests, None, SplitFractions(validation=0.3, test=0.3)).reshape(15, 4)
    assert (parts == parts[:, :1]).all()
    assert set(parts.ravel().tolist()) == {TRAIN, VALIDATION, TEST}


def test_a_fraction_of_zero_makes_no_part() -> None:
    """Without a test fraction nothing is held out for testing."""
    parts = assign_parts(_digests(20), None, SplitFractions(validation=0.1, test=0.0))
    assert sorted(set(parts.tolist())) == [TRAIN, VALIDATION]


@pytest.mark.parametrize(("fractions", "message"), [
    ({"validation": 1.0}, r"`validation_fraction` must be in \[0, 1\)"),
    ({"test": -0.1}, r"`test_fraction` must be in \[0, 1\)"),
    ({"validation": 0.5, "test": 0.5}, "must leave something to train on"),
])
def test_impossible_fractions_are_refused(fractions: dict[str, float], message: str) -> None:
    """Fractions that leave nothing to train on are the caller's mistake."""
    with pytest.raises(ArgumentError, match=message):
        SplitFractions(**fractions)  # type: ignore[arg-type]


@pytest.mark.parametrize(("labels", "message"), [
    (("cat", "dog"), r"The class 'dog' in pets has 2 usable examples, expected at least 3"),
    (("cat",), "pets has only the class 'cat', expected at least two"),
    ((), "pets has no class"),
])
def test_too_few_of_a_class_is_one_clear_line(labels: tuple[str, ...], message: str) -> None:
    """The error names the class, its size and what is needed."""
    classes = np.array([0, 0, 0, 1, 1], np.int32)[:5 if len(labels) == 2 else 3]
    with pytest.raises(DataError, match=message) as caught:
        check_class_sizes(classes, labels, 3, "pets")
    assert "\n" not in str(caught.value)
