"""Stop strings: found in the bytes of the new text, across the borders of tokens."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from zoo.generation.options import MAX_STOP_BYTES


class Tail(NamedTuple):
    """The end of each row's new text.

    Attributes:
        text: Its last bytes, string [N].
        length: Bytes of the whole new text, int32 [N].
        cut: How many bytes come before the stop string that was found, int32 [N]; -1 where there was none.
    """

    text: Any
    length: Any
    cut: Any


def no_text(rows: Any) -> Tail:
    """Returns the tail of rows without any new text; `rows` is N."""
    return Tail(tf.fill([rows], ""), tf.zeros([rows], tf.int32), tf.fill([rows], -1))


def longer(tail: Tail, pieces: Any, stops: Any) -> Tail:
    """Adds a piece of text to every row and looks for the stop strings.

    Args:
        tail: What came before.
        pieces: The new bytes, string [N]; empty for rows that have ended.
        stops: string [N, S]; empty ones stop nothing.

    Returns:
        The new tail; `cut` is set where a stop string is complete now, at the earliest place.
    """
    text = tf.strings.join([tail.text, pieces])
    length = tail.length + tf.strings.length(pieces)
    place = _first_place(text, stops)
    found = (place >= 0) & (tail.cut < 0) & (tf.strings.length(pieces) > 0)
    cut = tf.where(found, length - tf.strings.length(text) + place, tail.cut)
    # A stop string that is not complete yet may begin in these bytes.
    kept = tf.minimum(tf.strings.length(text), MAX_STOP_BYTES - 1)
    return Tail(tf.strings.substr(text, tf.strings.length(text) - kept, kept), length, cut)


def _first_place(text: Any, stops: Any) -> Any:
    """Where the first of a row's stop strings begins in its text, int32 [N]; -1 for nowhere."""
    sizes = tf.strings.length(stops)
    longest, width = tf.maximum(tf.reduce_max(sizes), 1), tf.maximum(tf.reduce_max(tf.strings.length(text)), 1)
    letters = tf.io.decode_raw(text, tf.uint8, fixed_length=width + longest)  # zeros behind the text
    windows = tf.gather(letters, tf.range(width)[:, tf.newaxis] + tf.range(longest)[tf.newaxis], axis=1)
    wanted = tf.io.decode_raw(stops, tf.uint8, fixed_length=longest)[:, :, tf.newaxis]
    beyond = tf.range(longest)[tf.newaxis, tf.newaxis] >= sizes[:, :, tf.newaxis]
    equal = tf.reduce_all((windows[:, tf.newaxis] == wanted) | beyond[:, :, tf.newaxis], axis=3)  # [N, S, width]
    ends = tf.range(width)[tf.newaxis, tf.newaxis] + sizes[:, :, tf.newaxis]
    equal &= (ends <= tf.strings.length(text)[:, tf.newaxis, tf.newaxis]) & (sizes > 0)[:, :, tf.newaxis]
    starts = tf.where(tf.reduce_any(equal, axis=1), tf.range(width)[tf.newaxis], width)
    first = tf.reduce_min(starts, axis=1)
    return tf.where(first < width, first, -1)
