"""Which stages of two models stand for each other, and how far apart their states are."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo.training.in_memory import classifier
from zoo.compression.hidden_states import Pair, Stage, distance, hidden_pairs, matching, stages_of
from zoo.text.bert import bert


def small_bert(layers: int, width: int = 8) -> keras.Model:
    return bert(vocabulary_size=20, hidden_size=width, layers=layers, heads=2, max_positions=16)


@pytest.mark.parametrize(("ours", "theirs", "expected"), [(3, 6, [1, 3, 5]), (6, 12, [1, 3, 5, 7, 9, 11]), (1, 4, [3]),
                                                          (4, 4, [0, 1, 2, 3]), (4, 2, [0, 0, 1, 1])])
def test_stages_are_spread_evenly(ours: int, theirs: int, expected: list[int]) -> None:
    """Every second one for half as many, and the last always belongs to the last."""
    assert matching(ours, theirs) == expected


def test_the_stages_are_the_ends_of_the_blocks() -> None:
    """Blocks of Transformers and of residual networks; what the head reads where there are none."""
    assert [stage.name for stage in stages_of(small_bert(3))] == ["block_0", "block_1", "block_2"]
    (only,) = stages_of(classifier())
    assert only.name == "input of predictions" and only.tensor.shape == (None, 16)


def test_widths_that_differ_are_projected() -> None:
    """A projection per pair, and none between equal widths."""
    pairs = hidden_pairs(small_bert(2, width=8), small_bert(4, width=12), seed=0)
    assert [(pair.ours.name, pair.theirs.name) for pair in pairs] == [("block_0", "block_1"), ("block_1", "block_3")]
    assert [pair.projection.kernel.shape for pair in pairs if pair.projection] == [(8, 12), (8, 12)]
    assert all(pair.projection is None for pair in hidden_pairs(small_bert(2), small_bert(2), seed=0))


def pair() -> Pair:
    stage = Stage("stage", None)
    return Pair(stage, stage, None)


def test_the_distance_is_a_fraction_of_the_teachers_state() -> None:
    """Equal states are 0 apart, nothing at all is 1, and no scale changes it."""
    theirs = np.random.RandomState(0).normal(size=(3, 5)).astype("float32")
    assert float(distance(pair(), tf.constant(theirs), tf.constant(theirs), None)) == 0.0
    assert float(distance(pair(), tf.zeros((3, 5)), tf.constant(theirs * 1000), None)) == pytest.approx(1.0)
    assert float(distance(pair(), tf.constant(theirs * 1.5), tf.constant(theirs), None)) == pytest.approx(0.25)


def test_padding_does_not_count() -> None:
    """What stands at padded tokens changes nothing."""
    ours, theirs = (np.random.RandomState(seed).normal(size=(2, 4, 3)).astype("float32") for seed in (0, 1))
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 0]])
    noise = (1 - mask)[..., None] * 100.0

    def apart(x: Any) -> float:
        return float(distance(pair(), tf.constant(x, tf.float32), tf.constant(theirs), tf.constant(mask)))

    assert apart(ours + noise) == apart(ours) > 0


def test_feature_maps_of_other_sizes_are_brought_together() -> None:
    """A flat feature map is the same at any height and width; maps and vectors meet in their mean."""
    flat = tf.ones((2, 4, 4, 3)) * [1.0, 2.0, 3.0]
    assert float(distance(pair(), flat, tf.ones((2, 7, 9, 3)) * [1.0, 2.0, 3.0], None)) == pytest.approx(0.0, abs=1e-6)
    assert float(distance(pair(), flat, tf.constant([[1.0, 2.0, 3.0]] * 2), None)) == pytest.approx(0.0, abs=1e-6)
