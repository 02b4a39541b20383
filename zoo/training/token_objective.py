"""Loss and metrics of models that say something of every token: tags, the next token, a hidden token.

A target of -1 asks nothing: padding, special tokens and pieces inside of words count neither in the loss nor in a
metric.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

TOKEN_TASKS = ("token_classification", "language_model", "masked_language_model")
LANGUAGE_TASKS = ("language_model", "masked_language_model")
_SMALLEST_PROBABILITY = 1e-7


def token_losses(targets: Any, outputs: Any, from_logits: bool) -> tuple[Any, Any]:
    """Returns the cross-entropy of every token in nats, 0 where nothing is asked, and what is asked.

    Args:
        targets: int [N, L], -1 where nothing is asked.
        outputs: Logits or probabilities, float [N, L, C].
        from_logits: Which of the two.

    Returns:
        float32 [N, L] and float32 [N, L] of 0 and 1.
    """
    asked = targets >= 0
    index = tf.where(asked, targets, 0)
    values = tf.cast(outputs, tf.float32)
    if from_logits:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(index, values)
    else:
        chosen = tf.gather(values, index, batch_dims=2)
        losses = -tf.math.log(tf.clip_by_value(chosen, _SMALLEST_PROBABILITY, 1.0))
    return tf.where(asked, losses, 0.0), tf.cast(asked, tf.float32)


class TokenCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Mean cross-entropy over the tokens of a batch that have a target; 0 for a batch without any.

    Args:
        from_logits: Whether the outputs are logits.
    """

    def __init__(self, from_logits: bool, name: str = "token_cross_entropy") -> None:
        super().__init__(name=name, reduction="sum", dtype="float32")
        self.from_logits = from_logits

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the mean, float32 []."""
        losses, asked = token_losses(ops.cast(y_true, "int32"), y_pred, self.from_logits)
        return ops.sum(losses) / ops.maximum(ops.sum(asked), 1.0)


class TokenAccuracy(keras.metrics.Metric):  # type: ignore[misc]
    """Share of the tokens with a target whose most probable class it is."""

    def __init__(self) -> None:
        super().__init__(name="accuracy", dtype="float32")
        self.right = self.add_weight(name="right", initializer="zeros")
        self.asked = self.add_weight(name="asked", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch."""
        targets = ops.cast(y_true, "int32")
        asked = targets >= 0
        right = ops.logical_and(asked, ops.equal(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), targets))
        self.right.assign_add(ops.sum(ops.cast(right, "float32")))
        self.asked.assign_add(ops.sum(ops.cast(asked, "float32")))

    def result(self) -> Any:
        """Returns the share so far."""
        return ops.divide_no_nan(self.right, self.asked)


class Perplexity(keras.metrics.Metric):  # type: ignore[misc]
    """e to the mean cross-entropy of the tokens with a target: among how many equal choices it is like guessing.

    Args:
        from_logits: Whether the outputs are logits.
    """

    def __init__(self, from_logits: bool) -> None:
        super().__init__(name="perplexity", dtype="float32")
        self.from_logits = from_logits
        self.nats = self.add_weight(name="nats", initializer="zeros")
        self.asked = self.add_weight(name="asked", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch."""
        losses, asked = token_losses(ops.cast(y_true, "int32"), y_pred, self.from_logits)
        self.nats.assign_add(ops.sum(losses))
        self.asked.assign_add(ops.sum(asked))

    def result(self) -> Any:
        """Returns the perplexity so far."""
        return ops.exp(ops.divide_no_nan(self.nats, self.asked))
