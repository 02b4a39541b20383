from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from zoo.data.cleaning import Exclusion
from zoo.data.fingerprints import content_digest
from zoo.data.labelled import Examples
from zoo.data.planning import Found, balanced_weights, plan_split
from zoo.data.splitting import TEST, TRAIN, UNDECIDED, VALIDATION, SplitFractions
from zoo.errors import DataError
from zoo.spec import TensorPreprocessing


def _found(contents: str, classes: str, given: list[int] | None = None) -> Found:
    return Found(
        where="letters", names=[f"{letter}{i}" for i, letter in enumerate(contents)],
        digests=np.array([content_digest(letter.encode()) for letter in contents], "S16"),
        targets=np.array([int(c) for c in classes], np.int32), labels=("zero", "one"),
        given=np.array(given or [UNDECIDED] * len(contents), np.int8), checked=len(contents) + 1,
        excluded=(Exclusion("x", "unreadable"),))


def test_duplicates_and_conflicts_are_left_out_and_listed() -> None:
    """Each example that is not in a part is in the report, with the others that were found before."""
    plan = plan_split(_found("abcdaefghbz", "00000111111"), SplitFractions(), keep_duplicates=False)
    assert [(e.source, e.reason) for e in plan.report.excluded] == [
        ("x", "unreadable"), ("b1", "conflicting labels"), ("a4", "duplicate"), ("b9", "conflicting labels")]
    used = np.concatenate([plan.train, plan.validation, plan.test])
    assert sorted(used.tolist()) == [0, 2, 3, 5, 6, 7, 8, 10]
    assert (plan.report.checked, plan.report.used) == (12, 8)


def test_kept_duplicates_are_counted_in_a_note() -> None:
    """Who keeps duplicates is told how many there are."""
    plan = plan_split(_found("abcdaefghb", "0000011111"), SplitFractions(), keep_duplicates=True)
    assert plan.report.used == 10
    assert plan.report.notes == ("1 used with the same content as another, such as a4.",
                                 "2 used with the same content as one of another label, such as b1.")


def test_a_given_split_is_respected() -> None:
    """Examples stay in the part that their dataset puts them in."""
    given = [TRAIN] * 4 + [VALIDATION] * 2 + [TEST] * 3
    plan = plan_split(_found("abcdefghi", "010101010", given), SplitFractions(), keep_duplicates=False)
    assert [part.tolist() for part in (plan.train, plan.validation, plan.test)] == [[0, 1, 2, 3], [4, 5], [6, 7, 8]]


def test_only_a_missing_part_is_cut_out_of_train() -> None:
    """With a given test part, validation comes out of train and test stays whole."""
    plan = plan_split(_found("abcdefghi", "010101010", [TRAIN] * 7 + [TEST] * 2), SplitFractions(validation=0.3),
                      keep_duplicates=False)
    assert plan.test.tolist() == [7, 8]
    assert (len(plan.validation), len(plan.train)) == (2, 5)


def test_what_is_tested_is_never_learnt() -> None:
    """Of an example in train and test, the copy in train goes."""
    given = [TRAIN] * 5 + [TEST] * 2
    plan = plan_split(_found("abcdeax", "0101000", given), SplitFractions(validation=0.0), keep_duplicates=False)
    assert plan.train.tolist() == [1, 2, 3, 4]
    assert plan.report.excluded[1] == Exclusion("a0", "duplicate", "same content as a5")


def test_a_small_class_is_refused_or_noted() -> None:
    """Folders refuse a class that is too small; arrays put it into train, and say when a class has no example."""
    found = _found("abcde", "00001")
    with pytest.raises(DataError, match="The class 'one' in letters has 1 usable examples, expected at least 3"):
        plan_split(found, SplitFractions(), keep_duplicates=False)
    plan = plan_split(found, SplitFractions(), keep_duplicates=False, small_classes=True)
    assert 4 in plan.train
    empty = plan_split(_found("abcde", "00000"), SplitFractions(), keep_duplicates=False, small_classes=True)
    assert empty.report.notes == ("1 of 2 classes have no example, such as 'one'.",)


def test_no_example_at_all_tells_the_first_reason() -> None:
    """A dataset of nothing but broken files says what is wrong with the first."""
    with pytest.raises(DataError, match=r"letters has no readable example. Looked at 1; the first: x: unreadable"):
        plan_split(_found("", ""), SplitFractions(), keep_duplicates=False)


def test_too_few_examples_of_a_regression_are_refused() -> None:
    """A regression needs an example for each part as well."""
    found = replace(_found("ab", "00"), targets=np.zeros((2, 1), np.float32), labels=())
    with pytest.raises(DataError, match="letters has 2 usable examples, expected at least 3"):
        plan_split(found, SplitFractions(), keep_duplicates=False)


def test_class_weights_balance_the_training_part() -> None:
    """Each class weighs the same in total, and an example weighs 1 on average."""
    assert balanced_weights(np.array([0, 0, 0, 1])) == {0: 4 / 6, 1: 2.0}


def test_labelled_data_has_the_planned_parts() -> None:
    """The plan becomes the dataset that training takes."""
    found = _found("abcdefgh", "01010101")
    plan = plan_split(found, SplitFractions(test=0.0), keep_duplicates=False)
    examples = Examples(load=lambda i: tf.cast(i, tf.float32), batched=True, targets=found.targets, names=found.names)
    data = plan.labelled(examples, TensorPreprocessing())
    assert (data.train.count, data.validation is not None and data.validation.count, data.test) == (6, 2, None)
    assert (data.labels, data.target_kind, data.class_weights) == (("zero", "one"), "index", {0: 1.0, 1: 1.0})
    assert len(data.fingerprint) == 64
