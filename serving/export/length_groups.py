"""Texts of different lengths, computed group by group, so that short ones do not pay for the padding of long ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

# The longest row of each bucket but the last one.
_EDGES = (16, 32, 48, 64, 96, 128, 192, 256, 384)
# How many tokens of padding a further call of the model must save: it reads all weights once more.
_WORTH_A_CALL = 256


def in_length_groups(call: Callable[..., Any], outputs: Mapping[str, Any], tensors: Sequence[Any],
                     lengths: Any) -> dict[str, Any]:
    """Calls a model once for each group of rows of about the same length, padded to the group's longest row only.

    Rows are parted where that saves enough padding; a single row, and rows of one length, are one group.

    Args:
        call: From tensors int [n, steps] to a dict of float32 [n, ...] whose other axes do not depend on the steps.
        outputs: tf.TensorSpec [N, ...] by the names in that dict.
        tensors: What it takes, int [N, steps]; N may be 0.
        lengths: How many steps of each row count, int32 [N].

    Returns:
        What it gives for all rows, in their order.
    """
    groups, count = _groups(lengths)

    def step(place: Any, done: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        rows = tf.reshape(tf.where(tf.equal(groups, place)), [-1])
        longest = tf.reduce_max(tf.concat([tf.gather(lengths, rows), [1]], axis=0))
        answers = call(*(tf.gather(tensor, rows)[:, :longest] for tensor in tensors))
        return place + 1, tuple(array.write(place, answers[name]) for array, name in zip(done, outputs, strict=True))

    arrays = tuple(tf.TensorArray(tf.float32, size=count, infer_shape=False, element_shape=spec.shape)
                   for spec in outputs.values())
    _, done = tf.while_loop(lambda place, _: place < count, step, (0, arrays), parallel_iterations=1)
    back = tf.math.invert_permutation(tf.argsort(groups, stable=True))
    found = {name: tf.gather(array.concat(), back) for name, array in zip(outputs, done, strict=True)}
    return {name: tf.ensure_shape(found[name], spec.shape) for name, spec in outputs.items()}


def _groups(lengths: Any) -> tuple[Any, Any]:
    """The group of each row, int32 [N], counted from 0 for the longest rows, and how many there are, 1 for no row."""
    count = len(_EDGES) + 1
    buckets = tf.searchsorted(tf.constant(_EDGES, lengths.dtype), lengths)
    sizes = tf.math.unsorted_segment_sum(tf.ones_like(lengths), buckets, count)
    longest = tf.maximum(tf.math.unsorted_segment_max(lengths, buckets, count), 0)
    rows_up_to = tf.cumsum(sizes)
    steps, group, group_of = tf.reduce_max(longest), tf.constant(0), []
    for bucket in reversed(range(count)):
        saved = (steps - longest[bucket]) * rows_up_to[bucket]
        parts = tf.logical_and(sizes[bucket] > 0, saved >= _WORTH_A_CALL)
        group += tf.cast(parts, tf.int32)
        steps = tf.where(parts, longest[bucket], steps)
        group_of.append(group)
    return tf.gather(tf.stack(group_of[::-1]), buckets), group + 1
