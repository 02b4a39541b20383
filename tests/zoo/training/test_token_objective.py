"""Losses and metrics of tokens, against the formulas written out in numpy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from zoo.training.token_objective import Perplexity, TokenAccuracy, TokenCrossEntropy

TARGETS = np.array([[2, 0, -1, -1], [1, 3, 3, -1]], np.int32)
LOGITS = np.random.default_rng(0).normal(size=(2, 4, 5)).astype("float32") * 3
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=-1, keepdims=True)
NATS = [-np.log(PROBABILITIES[row, column, TARGETS[row, column]]) for row, column in zip(*np.nonzero(TARGETS >= 0),
                                                                                           strict=True)]


@pytest.mark.parametrize(("outputs", "from_logits"), [(LOGITS, True), (PROBABILITIES, False)])
def test_loss_is_the_mean_over_tokens_with_a_target(outputs: np.ndarray, from_logits: bool) -> None:
    """Padding counts neither above nor below the line of the fraction."""
    loss = TokenCrossEntropy(from_logits)
    assert float(loss(TARGETS, outputs)) == pytest.approx(np.mean(NATS), rel=1e-5)
    changed = np.where(TARGETS[..., None] < 0, -outputs + 7, outputs)
    assert float(loss(TARGETS, changed)) == float(loss(TARGETS, outputs))
    longer = np.pad(outputs, [(0, 0), (0, 3), (0, 0)], constant_values=5.0)
    assert float(loss(np.pad(TARGETS, [(0, 0), (0, 3)], constant_values=-1), longer)) == \
        pytest.approx(float(loss(TARGETS, outputs)), rel=1e-6)
    assert float(loss(np.full_like(TARGETS, -1), outputs)) == 0.0


def test_metrics_weigh_tokens_and_not_batches() -> None:
    """Accuracy and perplexity of two batches of different lengths are those of all tokens together."""
    accuracy, perplexity = TokenAccuracy(), Perplexity(from_logits=True)
    for rows in (slice(0, 1), slice(1, 2)):
        accuracy.update_state(TARGETS[rows], LOGITS[rows])
        perplexity.update_state(TARGETS[rows], LOGITS[rows])
    asked = TARGETS >= 0
    assert float(accuracy.result()) == pytest.approx((LOGITS.argmax(-1) == TARGETS)[asked].mean())
    assert float(perplexity.result()) == pytest.approx(np.exp(np.mean(NATS)), rel=1e-5)
    accuracy.reset_state()
    assert float(accuracy.result()) == 0.0


def test_no_gradient_comes_from_padding() -> None:
    """The gradient of every padded place is exactly zero."""
    import tensorflow as tf

    outputs = tf.Variable(LOGITS)
    with tf.GradientTape() as tape:
        loss = TokenCrossEntropy(from_logits=True)(TARGETS, outputs)
    gradient = tape.gradient(loss, outputs).numpy()
    assert not gradient[TARGETS < 0].any()
    assert gradient[TARGETS >= 0].any(axis=-1).all()
    assert keras.backend.backend() == "tensorflow"
