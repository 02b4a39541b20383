"""The EXIF orientation of an encoded picture, found and applied inside the graph.

A camera stores the pixels as the sensor saw them and notes in the EXIF block how to turn them. TensorFlow's decoders
ignore the note, so a portrait would be served lying on its side. Three finders look for the block, `orientation`
reads it and `upright` obeys it:

    JPEG  the APP1 segment, among the APPn and comment segments that begin the file
    PNG   the eXIf chunk, if it stands before the pixels
    WebP  the EXIF chunk, if the extended header announces one

Anything missing, cut off or contradictory counts as upright (1). Each walk is bounded (`_MAX_STEPS`) and every read
stays inside the string, so a hostile header costs microseconds. Not read: XMP, and PNG text chunks with "Raw profile".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from zoo.preprocessing.byte_reading import read_bytes, read_number, spells

# Where the TIFF structure inside the EXIF block begins and how long it is said to be, int64 scalars; 0 long: none.
Block = tuple[Any, Any]

_MAX_STEPS = 64
_MAX_BLOCK_BYTES = 65536
_ORIENTATION_TAG = 0x0112
_ENTRY_BYTES = 12
_BYTE, _SHORT, _LONG = 1, 3, 4
_UPRIGHT = 1
_STOP = -1

# From a position: whether the EXIF block is there, where it begins, its length in bytes, the next position or _STOP.
_Step = Callable[[Any], tuple[Any, Any, Any, Any]]


def no_exif() -> Block:
    """Returns the block of a file that has none."""
    return tf.constant(0, tf.int64), tf.constant(0, tf.int64)


def jpeg_exif(encoded: Any) -> Block:
    """Returns where a JPEG's first EXIF block is, for the file's bytes as a scalar string tensor."""

    def step(position: Any) -> tuple[Any, Any, Any, Any]:
        head = read_bytes(encoded, position, 10)
        marker, length = head[1], read_number(head[2:4], False)
        is_marker = tf.equal(head[0], 0xFF)
        is_fill = is_marker & tf.equal(marker, 0xFF)
        is_info = is_marker & ((marker >= 0xE0) & (marker <= 0xEF) | tf.equal(marker, 0xFE)) & (length >= 2)
        found = is_info & tf.equal(marker, 0xE1) & spells(head[4:], b"Exif\0\0")
        following = tf.where(is_info, position + 2 + length, tf.where(is_fill, position + 1, _stop()))
        return found, position + 10, length - 8, following

    return _found_by(encoded, 2, step)


def png_exif(encoded: Any) -> Block:
    """Returns where a PNG's EXIF block is, for the file's bytes as a scalar string tensor."""

    def step(position: Any) -> tuple[Any, Any, Any, Any]:
        head = read_bytes(encoded, position, 8)
        length = read_number(head[:4], False)
        is_end = spells(head[4:], b"IDAT") | spells(head[4:], b"IEND")
        return spells(head[4:], b"eXIf"), position + 8, length, tf.where(is_end, _stop(), position + 12 + length)

    return _found_by(encoded, 8, step)


def webp_exif(encoded: Any) -> Block:
    """Returns where a WebP's EXIF block is, for the file's bytes as a scalar string tensor."""
    header = read_bytes(encoded, 12, 9)
    announced = spells(header[:4], b"VP8X") & tf.not_equal(tf.bitwise.bitwise_and(header[8], 0x08), 0)

    def step(position: Any) -> tuple[Any, Any, Any, Any]:
        head = read_bytes(encoded, position, 14)
        length = read_number(head[4:8], True)
        # Some writers keep JPEG's prefix in front of the block.
        prefix = tf.where(spells(head[8:], b"Exif\0\0"), tf.constant(6, tf.int64), 0)
        padded = length + length % 2
        return spells(head[:4], b"EXIF"), position + 8 + prefix, length - prefix, position + 8 + padded

    return _found_by(encoded, tf.where(announced, tf.constant(12, tf.int64), _stop()), step)


def orientation(encoded: Any, block: Block) -> Any:
    """Returns the orientation that an EXIF block asks for.

    Args:
        encoded: The file's bytes, a scalar string tensor.
        block: Where one of the finders found the block.

    Returns:
        int64 scalar in 1..8; 1 (upright) where there is no block or no usable orientation in it.
    """
    start, length = block
    return tf.cond(length > 0, lambda: _read_orientation(encoded, start, length),
                   lambda: tf.constant(_UPRIGHT, tf.int64))


def upright(pixels: Any, turn: Any) -> Any:
    """Turns and mirrors pixels as an EXIF orientation asks.

    Args:
        pixels: [h, w, channels] of any dtype.
        turn: The EXIF orientation, int64 scalar; outside 2..8 the pixels stay as they are.

    Returns:
        [h, w, channels], or [w, h, channels] for the orientations 5 to 8.
    """

    def turned() -> Any:
        swapped = tf.cond(turn >= 5, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
        rows = _direction(turn, (3, 4, 7, 8))
        columns = _direction(turn, (2, 3, 6, 7))
        return swapped[::rows, ::columns]

    return tf.cond((turn >= 2) & (turn <= 8), turned, lambda: pixels)


def _direction(turn: Any, reversed_for: tuple[int, ...]) -> Any:
    """Returns the stride -1 for the listed orientations and 1 for the others."""
    is_reversed = tf.reduce_any(tf.equal(turn, tf.constant(reversed_for, tf.int64)))
    return tf.where(is_reversed, tf.constant(-1, tf.int32), tf.constant(1, tf.int32))


def _stop() -> Any:
    return tf.constant(_STOP, tf.int64)


def _found_by(encoded: Any, start: Any, step: _Step) -> Block:
    """Walks from `start` with `step` until the EXIF block is found."""
    size = tf.cast(tf.strings.length(encoded), tf.int64)

    def searching(position: Any, at: Any, length: Any) -> Any:
        return (position >= 0) & (position < size)

    def advance(position: Any, at: Any, length: Any) -> tuple[Any, Any, Any]:
        found, found_at, found_length, following = step(position)
        return tf.where(found, _stop(), following), tf.where(found, found_at, at), tf.where(found, found_length, length)

    _, at, length = tf.while_loop(searching, advance, (tf.cast(start, tf.int64), *no_exif()),
                                  maximum_iterations=_MAX_STEPS)
    return at, length


def _read_orientation(encoded: Any, block: Any, length: Any) -> Any:
    """Reads the orientation out of the TIFF structure that begins at `block`."""
    head = read_bytes(encoded, block, 8)
    little = spells(head[:2], b"II")
    known_order = little | spells(head[:2], b"MM")
    directory = read_number(head[4:], little)
    end = tf.minimum(tf.cast(tf.strings.length(encoded), tf.int64), block + tf.minimum(length, _MAX_BLOCK_BYTES))
    first_entry = block + directory + 2
    promised = read_number(read_bytes(encoded, block + directory, 2), little)
    # The count may promise more entries than the block has room for.
    count = tf.maximum(tf.minimum(promised, (end - first_entry) // _ENTRY_BYTES), 0)
    start = tf.minimum(first_entry, end - count * _ENTRY_BYTES)
    raw = tf.io.decode_raw(tf.strings.substr(encoded, start, count * _ENTRY_BYTES), tf.uint8)
    value = _orientation_entry(tf.reshape(tf.cast(raw, tf.int64), [-1, _ENTRY_BYTES]), little)
    usable = known_order & tf.equal(read_number(head[2:4], little), 42) & (value >= 1) & (value <= 8)
    return tf.where(usable, value, tf.constant(_UPRIGHT, tf.int64))


def _orientation_entry(entries: Any, little: Any) -> Any:
    """Returns the value of the orientation tag among directory entries [n, 12], 0 where it is missing."""
    tag = read_number(entries[:, 0:2], little)
    kind = read_number(entries[:, 2:4], little)
    is_single = tf.equal(read_number(entries[:, 4:8], little), 1)
    value = tf.where(tf.equal(kind, _SHORT), read_number(entries[:, 8:10], little),
                     tf.where(tf.equal(kind, _LONG), read_number(entries[:, 8:12], little),
                              tf.where(tf.equal(kind, _BYTE), entries[:, 8], 0)))
    wanted = tf.equal(tag, _ORIENTATION_TAG) & is_single
    # The zero in front makes an empty directory well defined.
    return tf.reduce_max(tf.concat([[tf.constant(0, tf.int64)], tf.where(wanted, value, 0)], axis=0))
