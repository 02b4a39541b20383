from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from zoo.evaluation import ranking_metrics
from zoo.evaluation.measurement import ones
from zoo.evaluation.ranking_metrics import BinaryRanking, MacroRanking


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 3)), min_size=1, max_size=40))
def test_weighted_areas_equal_scikit_learn(rows: list[tuple[int, bool, int]]) -> None:
    """ROC AUC and average precision are scikit-learn's, with many ties and with weights."""
    rows = [*rows, (1, True, 1), (2, False, 1)]
    scores = np.array([row[0] for row in rows], dtype=np.float32) / 4
    positive = np.array([row[1] for row in rows])
    weights = np.array([row[2] for row in rows], dtype=np.float64)
    found = BinaryRanking(scores, positive)(weights[None])
    assert found["roc_auc"][0] == pytest.approx(roc_auc_score(positive, scores, sample_weight=weights))
    assert found["average_precision"][0] == pytest.approx(
        average_precision_score(positive, scores, sample_weight=weights))


def test_many_resamples_at_once_equal_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of resamples are an implementation detail."""
    generator = np.random.default_rng(0)
    ranking = BinaryRanking(generator.random(50), generator.random(50) < 0.3)
    weights = generator.integers(0, 4, size=(31, 50)).astype(float)
    single = [ranking(row[None])["roc_auc"][0] for row in weights]
    monkeypatch.setattr(ranking_metrics, "_BLOCK_ENTRIES", 200)
    assert ranking(weights)["roc_auc"] == pytest.approx(single)


@pytest.mark.parametrize("positive", [[True, True], [False, False]])
def test_one_class_alone_has_no_roc_area(positive: list[bool]) -> None:
    """Without two classes there is nothing to rank."""
    found = BinaryRanking(np.array([0.1, 0.9]), np.array(positive))(ones(2))
    assert np.isnan(found["roc_auc"][0])


def test_a_resample_without_positives_is_undefined() -> None:
    """A weight of zero takes an example out."""
    found = BinaryRanking(np.array([0.1, 0.9]), np.array([False, True]))(np.array([[2.0, 0.0], [1.0, 1.0]]))
    assert np.isnan(found["roc_auc"][0]) and found["roc_auc"][1] == 1.0


def test_one_against_the_rest_equals_scikit_learn() -> None:
    """The macro area is scikit-learn's one-vs-rest mean."""
    generator = np.random.default_rng(1)
    targets, probabilities = generator.integers(0, 5, 200), generator.dirichlet(np.ones(5), 200).astype(np.float32)
    found = MacroRanking(probabilities, targets)(ones(200))
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    assert found["roc_auc"][0] == pytest.approx(roc_auc_score(targets, exact, multi_class="ovr"), abs=1e-4)
    assert found["average_precision"][0] == pytest.approx(average_precision_score(targets, probabilities))


def test_absent_classes_are_left_out_of_the_mean() -> None:
    """A class without examples has no area; the mean is over the others."""
    generator = np.random.default_rng(2)
    targets, probabilities = generator.integers(0, 3, 100), generator.dirichlet(np.ones(4), 100).astype(np.float32)
    ranking = MacroRanking(probabilities, targets)
    roc_auc, average_precision = ranking.of_sample()
    assert np.isnan([roc_auc[3], average_precision[3]]).all()
    assert ranking(ones(100))["roc_auc"][0] == pytest.approx(roc_auc[:3].mean())
