"""Reading numbers out of an encoded string inside a graph, never beyond its end."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def read_bytes(encoded: Any, position: Any, count: int) -> Any:
    """Returns `count` bytes of a string as numbers, zeros where the string has ended.

    Args:
        encoded: The bytes, a scalar string tensor.
        position: Where to begin, int64 scalar; one outside the string is moved to its nearest end.
        count: How many bytes, a Python number.

    Returns:
        int64 [count], each in [0, 255].
    """
    length = tf.cast(tf.strings.length(encoded), tf.int64)
    start = tf.clip_by_value(tf.cast(position, tf.int64), 0, length)
    # `substr` shortens what reaches over the end but fails for a start beyond it, hence the clip.
    piece = tf.io.decode_raw(tf.strings.substr(encoded, start, tf.constant(count, tf.int64)), tf.uint8)
    padded = tf.pad(tf.cast(piece, tf.int64), [[0, count - tf.size(piece)]])
    return tf.ensure_shape(padded, [count])


def read_number(digits: Any, little_endian: Any) -> Any:
    """Returns the unsigned numbers that bytes spell.

    Args:
        digits: int64 [..., k] with k <= 7, each in [0, 255].
        little_endian: Whether the first byte counts least; a Python or a tensor bool.

    Returns:
        int64 [...].
    """
    powers = [256**power for power in range(digits.shape[-1])]
    # Both orders as constants: Grappler 2.21 gives up optimising a whole graph that reverses a vector by a slice.
    rising, falling = tf.constant(powers, tf.int64), tf.constant(powers[::-1], tf.int64)
    return tf.reduce_sum(digits * tf.where(little_endian, rising, falling), axis=-1)


def spells(digits: Any, text: bytes) -> Any:
    """Returns whether bytes equal a text: a bool scalar for int64 [len(text)]."""
    return tf.reduce_all(tf.equal(digits, tf.constant(list(text), tf.int64)))
