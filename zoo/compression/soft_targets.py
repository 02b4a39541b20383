"""How far a student's answer is from its teacher's: the loss of Hinton et al. 2015 and what it becomes elsewhere.

Classes: the divergence of the two softmax distributions over logits / T, times T squared so that its gradients keep
their size at any T (https://arxiv.org/abs/1503.02531, section 2). Two classes: the same for sigmoids. Tags and tokens:
each token that a target asks for. Values: the squared distance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from zoo.training.objective import Objective
from zoo.training.token_objective import TOKEN_TASKS

_SMALLEST_PROBABILITY = 1e-7


def soft_loss(objective: Objective, temperature: float) -> Callable[[Any, Any, Any], Any]:
    """Returns the function from (targets, student's logits or values, teacher's) to a loss, float32 [].

    Args:
        objective: What the student learns.
        temperature: T, above 0.
    """
    if objective.task == "regression":
        return lambda targets, ours, theirs: tf.reduce_mean(tf.square(ours - theirs))
    if objective.task == "binary_classification":
        return lambda targets, ours, theirs: _binary(ours / temperature, theirs / temperature) * temperature ** 2
    if objective.task in TOKEN_TASKS:
        return lambda targets, ours, theirs: _asked_mean(
            _divergence(ours / temperature, theirs / temperature), targets) * temperature ** 2
    return lambda targets, ours, theirs: tf.reduce_mean(
        _divergence(ours / temperature, theirs / temperature)) * temperature ** 2


def logits_of(outputs: Any, objective: Objective, *, from_logits: bool) -> Any:
    """Returns the logits behind a model's answer in float32, or the values of a regression.

    Args:
        outputs: What the model gave.
        objective: What it is for.
        from_logits: Whether it gives logits.

    Returns:
        float32 of the same shape. Where the head's own logits are out of reach, those that the probabilities imply.
    """
    if from_logits or objective.task == "regression":
        return tf.cast(outputs, tf.float32)
    known = getattr(outputs, "_keras_logits", None)  # Keras keeps them beside a softmax or sigmoid
    if known is not None:
        return tf.cast(known, tf.float32)
    chances = tf.clip_by_value(tf.cast(outputs, tf.float32), _SMALLEST_PROBABILITY, 1.0 - _SMALLEST_PROBABILITY)
    if objective.task == "binary_classification":
        return tf.math.log(chances) - tf.math.log1p(-chances)
    return tf.math.log(chances)


def _divergence(ours: Any, theirs: Any) -> Any:
    wanted = tf.nn.softmax(theirs)
    return tf.reduce_sum(wanted * (tf.nn.log_softmax(theirs) - tf.nn.log_softmax(ours)), axis=-1)


def _binary(ours: Any, theirs: Any) -> Any:
    wanted = tf.nn.sigmoid(theirs)
    cross = tf.nn.sigmoid_cross_entropy_with_logits(labels=wanted, logits=ours)
    own = tf.nn.sigmoid_cross_entropy_with_logits(labels=wanted, logits=theirs)
    return tf.reduce_mean(cross - own)


def _asked_mean(losses: Any, targets: Any) -> Any:
    asked = tf.cast(targets >= 0, tf.float32)
    return tf.reduce_sum(losses * asked) / tf.maximum(tf.reduce_sum(asked), 1.0)
