from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from zoo.evaluation import classification_metrics
from zoo.evaluation.classification_metrics import ConfusionRates, class_results, negative_log, score_probabilities
from zoo.evaluation.measurement import ones


def _random(classes: int, count: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, classes, count)
    logits = generator.normal(size=(count, classes))
    logits[np.arange(count), targets] += 1.0
    exponentials = np.exp(logits)
    return targets, (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("classes", [2, 3, 10, 40])
def test_rates_equal_scikit_learn(classes: int) -> None:
    """Accuracy, macro and micro precision, recall and F1 are scikit-learn's."""
    targets, probabilities = _random(classes)
    predicted = probabilities.argmax(axis=1)
    found = {name: value[0] for name, value in ConfusionRates(targets, predicted, classes)(ones(300)).items()}
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(targets, predicted))
    for average in ("macro", "micro"):
        expected = reference.precision_recall_fscore_support(targets, predicted, average=average, zero_division=0.0)
        for name, value in zip(("precision", "recall", "f1"), expected[:3], strict=True):
            assert found[f"{name}_{average}"] == pytest.approx(value), (name, average)


def test_macro_rates_leave_out_absent_classes() -> None:
    """Classes without examples say nothing; a class that is never predicted has precision 0."""
    targets, predicted = np.array([0, 0, 1, 1, 3]), np.array([0, 2, 0, 0, 3])
    found = {name: value[0] for name, value in ConfusionRates(targets, predicted, 5)(ones(5)).items()}
    expected = reference.precision_recall_fscore_support(targets, predicted, labels=[0, 1, 3], average="macro",
                                                         zero_division=0.0)
    assert [found["precision_macro"], found["recall_macro"], found["f1_macro"]] == pytest.approx(expected[:3])


def test_rates_of_a_positive_class_equal_scikit_learn() -> None:
    """Binary precision, recall, specificity and F1 are those of the positive class."""
    targets, probabilities = _random(2)
    predicted = probabilities.argmax(axis=1)
    found = {name: value[0] for name, value in ConfusionRates(targets, predicted, 2, positive=1)(ones(300)).items()}
    assert found["precision"] == pytest.approx(reference.precision_score(targets, predicted))
    assert found["recall"] == pytest.approx(reference.recall_score(targets, predicted))
    assert found["f1"] == pytest.approx(reference.f1_score(targets, predicted))
    assert found["specificity"] == pytest.approx(reference.recall_score(targets, predicted, pos_label=0))


def test_rates_that_nothing_is_known_of_are_nan() -> None:
    """Without a positive example or answer there is no precision and no recall."""
    found = ConfusionRates(np.array([0, 0]), np.array([0, 0]), 2, positive=1)(ones(2))
    assert np.isnan([found["precision"][0], found["recall"][0], found["f1"][0]]).all()
    assert found["specificity"][0] == 1.0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=30))
def test_a_weight_is_the_same_as_so_many_copies(rows: list[tuple[int, int, int]]) -> None:
    """A resample with weights gives what the written-out resample gives."""
    columns = np.array([*rows, (0, 0, 1)])
    targets, predicted, weights = columns.T
    weighted = ConfusionRates(targets, predicted, 4, positive=1)(weights[None].astype(float))
    copies = ConfusionRates(np.repeat(targets, weights), np.repeat(predicted, weights), 4, positive=1)(
        ones(int(weights.sum())))
    for name, value in weighted.items():
        assert value == pytest.approx(copies[name], nan_ok=True), name


@pytest.mark.parametrize("k", [1, 2, 5])
def test_ranks_give_scikit_learns_top_k(k: int) -> None:
    """rank < k is "the truth is among the k most probable"."""
    targets, probabilities = _random(12)
    found = (score_probabilities(probabilities, targets).rank < k).mean()
    assert found == pytest.approx(reference.top_k_accuracy_score(targets, probabilities, k=k, labels=np.arange(12)))


def test_losses_equal_scikit_learn() -> None:
    """Log loss and Brier score are scikit-learn's, also for certain and wrong answers."""
    targets, probabilities = _random(4)
    probabilities[0] = 0.0
    probabilities[0, (targets[0] + 1) % 4] = 1.0
    scores = score_probabilities(probabilities, targets)
    assert scores.log_loss.mean() == pytest.approx(reference.log_loss(targets, probabilities), rel=1e-5)
    truth = np.eye(4)[targets]
    assert scores.squared_distance.mean() == pytest.approx(((probabilities - truth) ** 2).sum(axis=1).mean(), rel=1e-6)


def test_equal_probabilities_bring_no_luck() -> None:
    """A model that says the same of all classes is right for the first one alone, at every k."""
    targets = np.arange(10)
    scores = score_probabilities(np.full((10, 10), 0.1, dtype=np.float32), targets)
    assert np.array_equal(scores.rank, np.arange(10))
    assert np.array_equal(scores.predicted, np.zeros(10))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block size bounds memory and is invisible in the result."""
    targets, probabilities = _random(6)
    whole = score_probabilities(probabilities, targets)
    monkeypatch.setattr(classification_metrics, "_ROWS", 7)
    blocks = score_probabilities(probabilities, targets)
    for name, column in vars(whole).items():
        assert np.array_equal(column, getattr(blocks, name)), name


def test_the_logarithm_stays_finite() -> None:
    """A certain wrong answer costs much and not infinitely much."""
    assert np.isfinite(negative_log(np.array([0.0, 1.0]))).all()
    assert negative_log(np.array([0.0]))[0] > 15


def test_the_table_of_classes_tells_zero_from_unknown() -> None:
    """Precision 0 (always wrong) is not the same as None (never said)."""
    rows = class_results(np.array([0, 0, 1]), np.array([0, 2, 0]), ("a", "b", "c", "d"), np.full(4, np.nan),
                         np.full(4, 0.5))
    assert [row.precision for row in rows] == [0.5, None, 0.0, None]
    assert [row.recall for row in rows] == [0.5, 0.0, None, None]
    assert [row.f1 for row in rows] == [0.5, 0.0, 0.0, None]
    assert [(row.support, row.predicted) for row in rows] == [(2, 2), (1, 0), (0, 1), (0, 0)]
    assert rows[0].roc_auc is None and rows[0].average_precision == 0.5
