"""From probabilities to the best labels, with TensorFlow operations only; the same functions in every signature."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from serving.errors import ExportError


def label_names(labels: tuple[str, ...], classes: int) -> tuple[str, ...]:
    """The labels, or each class's number as text where there are none.

    Raises:
        ExportError: The number of labels is not the number of classes.
    """
    if not labels:
        return tuple(str(index) for index in range(classes))
    if len(labels) != classes:
        raise ExportError(f"The model has {classes} classes and its record {len(labels)} labels. "
                          "Give it a record with one label per class, in the order of the last axis.")
    return labels


def best_classes(probabilities: Any, names: tuple[str, ...], k: int) -> tuple[Any, Any, Any]:
    """The k most probable classes.

    Args:
        probabilities: float32 [N, C].
        names: The C labels.
        k: At most C.

    Returns:
        Labels string [N, k], scores float32 [N, k] descending, indices int32 [N, k].
    """
    scores, indices = tf.math.top_k(probabilities, k=k, sorted=True)
    return tf.gather(tf.constant(names, tf.string), indices), scores, indices


def decided_class(probability: Any, names: tuple[str, ...], threshold: float) -> tuple[Any, Any, Any]:
    """Both classes of a binary classifier, the one that the threshold decides for first.

    Args:
        probability: float32 [N, 1], that of `names[1]`.
        names: The two labels.
        threshold: From this probability on the answer is `names[1]`.

    Returns:
        Labels string [N, 2], scores float32 [N, 2] (not always descending: the threshold need not be 0.5),
        indices int32 [N, 2].
    """
    first = tf.cast(probability >= tf.constant(threshold, tf.float32), tf.int32)
    indices = tf.concat([first, 1 - first], axis=1)
    scores = tf.gather(tf.concat([1.0 - probability, probability], axis=1), indices, batch_dims=1)
    return tf.gather(tf.constant(names, tf.string), indices), scores, indices
