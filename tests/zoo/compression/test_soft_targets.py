"""The distance between a student's answer and its teacher's, against formulas written out in NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.compression.soft_targets import logits_of, soft_loss
from zoo.training.objective import Objective


def softmax(x: Any) -> Any:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).normal(size=shape).astype("float32") * 2


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_classes(temperature: float) -> None:
    """T squared times the divergence of the student's softened distribution from the teacher's."""
    ours, theirs = drawn(5, 4), drawn(5, 4, seed=1)
    p, q = softmax(theirs / temperature), softmax(ours / temperature)
    expected = temperature ** 2 * np.mean(np.sum(p * np.log(p / q), axis=-1))
    loss = soft_loss(Objective(task="classification", outputs=4), temperature)

    assert float(loss(None, tf.constant(ours), tf.constant(theirs))) == pytest.approx(expected, rel=1e-5)
    assert float(loss(None, tf.constant(ours), tf.constant(ours + 3.0))) == pytest.approx(0.0, abs=1e-5)


def test_two_classes() -> None:
    """The divergence of two coins, softened alike."""
    ours, theirs = drawn(6, 1), drawn(6, 1, seed=1)
    p, q = 1 / (1 + np.exp(-theirs / 2)), 1 / (1 + np.exp(-ours / 2))
    expected = 4 * np.mean(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
    loss = soft_loss(Objective(task="binary_classification", outputs=1), 2.0)

    assert float(loss(None, tf.constant(ours), tf.constant(theirs))) == pytest.approx(expected, rel=1e-5)


def test_values() -> None:
    """The squared distance."""
    loss = soft_loss(Objective(task="regression", outputs=2), 2.0)
    assert float(loss(None, tf.constant([[1.0, 2.0]]), tf.constant([[2.0, 4.0]]))) == pytest.approx(2.5)


def test_tokens_that_nobody_asks_for_do_not_count() -> None:
    """The mean goes over the tokens with a target."""
    ours, theirs = drawn(2, 3, 5), drawn(2, 3, 5, seed=1)
    targets = np.array([[0, -1, 2], [-1, -1, 4]])
    p, q = softmax(theirs), softmax(ours)
    expected = np.sum(p * np.log(p / q), axis=-1)[targets >= 0].mean()
    loss = soft_loss(Objective(task="token_classification", outputs=5), 1.0)

    found = float(loss(tf.constant(targets), tf.constant(ours), tf.constant(theirs)))
    assert found == pytest.approx(expected, rel=1e-5)
    assert float(loss(tf.constant(targets * 0 - 1), tf.constant(ours), tf.constant(theirs))) == 0.0


@pytest.mark.parametrize(("task", "activation", "units"), [("classification", "softmax", 3),
                                                           ("binary_classification", "sigmoid", 1)])
def test_a_heads_own_logits_are_found_behind_its_probabilities(task: Any, activation: str, units: int) -> None:
    """A teacher that is sure keeps its logits of 40, which probabilities in float32 cannot tell from 100."""
    inputs = keras.Input((units,))
    head = keras.layers.Dense(units, activation=activation, kernel_initializer="identity", name="predictions")
    model = keras.Model(inputs, head(inputs))
    x = np.array([[40.0, -70.0, 0.0][:units]], "float32")
    objective = Objective(task=task, outputs=units)

    inside = tf.function(lambda rows: logits_of(model(rows, training=False), objective, from_logits=False))
    np.testing.assert_allclose(inside(tf.constant(x)), x, rtol=1e-5)


def test_probabilities_without_logits_imply_them() -> None:
    """Logits up to a constant, and the log of the odds."""
    chances = softmax(drawn(4, 3))
    found = logits_of(tf.constant(chances), Objective(task="classification", outputs=3), from_logits=False).numpy()
    np.testing.assert_allclose(softmax(found), chances, rtol=1e-5)
    odds = logits_of(tf.constant([[0.8]]), Objective(task="binary_classification", outputs=1), from_logits=False)
    assert float(odds[0, 0]) == pytest.approx(np.log(4.0), rel=1e-5)
