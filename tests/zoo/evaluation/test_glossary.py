from __future__ import annotations

import pytest

from zoo.evaluation.glossary import METRICS, meaning, rank_of


def test_every_size_of_top_k_has_its_own_title() -> None:
    """Top-k metrics share one entry but are named by their k."""
    assert meaning("top_5_accuracy").title == "Top-5 accuracy"
    assert "3 most probable" in meaning("top_3_accuracy").text


def test_an_unknown_metric_has_no_words() -> None:
    """A metric cannot be shown without a meaning."""
    with pytest.raises(KeyError):
        meaning("topsy_accuracy")


def test_figures_are_read_in_the_order_of_the_glossary() -> None:
    """Accuracy comes first, top-k right after it."""
    shuffled = ["mse", "top_7_accuracy", "f1", "accuracy"]
    assert sorted(shuffled, key=rank_of) == ["accuracy", "top_7_accuracy", "f1", "mse"]
    assert rank_of(list(METRICS)[-1]) == len(METRICS) - 1
