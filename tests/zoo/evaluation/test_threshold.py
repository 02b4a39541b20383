from __future__ import annotations

import keras
import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from tests.zoo.evaluation.array_split import ArraySplit
from zoo.errors import ArgumentError, DataError
from zoo.evaluation.threshold import choose_threshold, find_threshold


def _random(seed: int = 0, count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, 2, count)
    probabilities = 1 / (1 + np.exp(-(targets * 1.5 - 1 + generator.normal(size=count))))
    return targets, np.round(probabilities, 2).astype(np.float32)  # rounded: with ties


def _decided(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    return (probabilities >= np.float32(threshold)).astype(int)


@pytest.mark.parametrize("seed", range(3))
def test_no_threshold_has_a_better_f1(seed: int) -> None:
    """The choice beats every threshold on a fine grid, and states the F1 that it gives."""
    targets, probabilities = _random(seed)
    choice = choose_threshold(targets, probabilities, rule="f1")
    assert f1_score(targets, _decided(probabilities, choice.threshold)) == pytest.approx(choice.f1)
    grid = [f1_score(targets, _decided(probabilities, t)) for t in np.linspace(0.005, 0.995, 67)]
    assert choice.f1 >= max(grid) - 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_no_threshold_has_a_better_youden_index(seed: int) -> None:
    """Recall plus specificity is as large as it can be."""
    targets, probabilities = _random(seed)
    choice = choose_threshold(targets, probabilities, rule="youden")

    def index(threshold: float) -> float:
        said = _decided(probabilities, threshold)
        return float(recall_score(targets, said) + recall_score(targets, said, pos_label=0))

    assert index(choice.threshold) == pytest.approx(choice.recall + choice.specificity)
    assert index(choice.threshold) >= max(index(t) for t in np.linspace(0.005, 0.995, 67)) - 1e-12


def test_a_demanded_precision_is_kept_with_the_most_recall() -> None:
    """Among the thresholds that are precise enough the one that finds most is taken."""
    targets, probabilities = _random()
    choice = choose_threshold(targets, probabilities, rule="precision", minimum=0.8)
    said = _decided(probabilities, choice.threshold)
    assert precision_score(targets, said) == pytest.approx(choice.precision)
    assert choice.precision >= 0.8
    enough = [_decided(probabilities, t) for t in np.linspace(0.005, 0.995, 67)]
    best = max(recall_score(targets, s) for s in enough if s.any() and precision_score(targets, s) >= 0.8)
    assert choice.recall >= best - 1e-12


def test_a_demanded_recall_is_kept_with_the_most_precision() -> None:
    """Among the thresholds that find enough the most precise one is taken."""
    targets, probabilities = _random()
    choice = choose_threshold(targets, probabilities, rule="recall", minimum=0.9)
    said = _decided(probabilities, choice.threshold)
    assert recall_score(targets, said) == pytest.approx(choice.recall)
    assert choice.recall >= 0.9
    assert choice.to_dict()["minimum"] == 0.9


def test_separable_classes_are_parted_in_the_middle() -> None:
    """The threshold keeps its distance from both sides."""
    choice = choose_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9]))
    assert choice.threshold == pytest.approx(0.4)
    assert choice.f1 == 1.0


def test_neighbouring_float32_numbers_are_told_apart() -> None:
    """Between two neighbours there is no number; then the upper one is the threshold."""
    lower = np.float32(0.5)
    upper = np.nextafter(lower, np.float32(1.0))
    choice = choose_threshold(np.array([0, 1]), np.array([lower, upper]))
    assert _decided(np.array([lower, upper]), choice.threshold).tolist() == [0, 1]


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_constant_model_gets_a_threshold_in_range(value: float) -> None:
    """With one score everything is called positive, which is the better of the two."""
    choice = choose_threshold(np.array([0, 1]), np.full((2, 1), value))
    assert 0.0 <= choice.threshold <= value
    assert choice.recall == 1.0 and choice.specificity == 0.0


def test_an_impossible_demand_says_what_is_possible() -> None:
    """The message holds the best that can be had."""
    with pytest.raises(DataError, match=r"No threshold reaches a precision of 0\.9; the best .* is 0\.5"):
        choose_threshold(np.array([0, 1]), np.array([0.6, 0.6]), rule="precision", minimum=0.9)


def test_one_class_alone_cannot_be_parted() -> None:
    """A threshold needs examples on both sides."""
    with pytest.raises(DataError, match=r"both classes\. Received 0 positive and 3 negative"):
        choose_threshold(np.zeros(3, dtype=int), np.array([0.1, 0.5, 0.7]))


@pytest.mark.parametrize(("rule", "minimum", "words"), [
    ("best", None, "`rule` must be one of f1, youden, precision, recall. Received: 'best'"),
    ("precision", None, r"needs a `minimum` in \(0, 1\]. Received: None"),
    ("recall", 1.5, "Received: 1.5"),
    ("f1", 0.5, "takes no `minimum`"),
])
def test_a_wrong_rule_is_refused(rule: str, minimum: float | None, words: str) -> None:
    """The choices and what came are in the message."""
    with pytest.raises(ArgumentError, match=words):
        choose_threshold(np.array([0, 1]), np.array([0.1, 0.9]), rule=rule, minimum=minimum)  # type: ignore[arg-type]


def test_the_threshold_of_a_model_is_found_on_a_split() -> None:
    """`find_threshold` runs the model and chooses from what it says."""
    inputs = keras.Input((1,), name="features")
    layer = keras.layers.Dense(1, activation="sigmoid", name="predictions")
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([np.array([[1.0]]), np.array([0.0])])
    values = np.array([[-3.0], [-2.0], [1.0], [2.0]], dtype=np.float32)
    choice = find_threshold(model, ArraySplit(values, np.array([0, 0, 0, 1])), rule="youden", batch_size=3)
    assert 1 / (1 + np.exp(-1.0)) < choice.threshold < 1 / (1 + np.exp(-2.0))
