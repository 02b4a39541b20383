from __future__ import annotations

import pytest
import tensorflow as tf

from zoo.preprocessing.byte_reading import read_bytes, read_number, spells


@pytest.mark.parametrize(("position", "expected"), [
    (0, [97, 98, 99, 100]), (2, [99, 100, 101, 0]), (5, [0, 0, 0, 0]), (6, [0, 0, 0, 0]), (2**40, [0, 0, 0, 0]),
    (-3, [97, 98, 99, 100]),
])
def test_reading_stays_inside_the_string(position: int, expected: list[int]) -> None:
    """Bytes beyond the end read as zero, and no position is an error."""
    assert read_bytes(tf.constant(b"abcde"), position, 4).numpy().tolist() == expected


def test_an_empty_string_reads_as_zeros() -> None:
    """There is always something to read."""
    assert read_bytes(tf.constant(b""), 0, 3).numpy().tolist() == [0, 0, 0]


@pytest.mark.parametrize(("little_endian", "expected"), [(True, 0xFF020100), (False, 0x000102FF)])
def test_numbers_of_both_byte_orders(little_endian: bool, expected: int) -> None:
    """Four bytes are an unsigned number, however large."""
    digits = tf.constant([0, 1, 2, 255], tf.int64)
    assert int(read_number(digits, little_endian)) == expected
    assert int(read_number(digits, tf.constant(little_endian))) == expected


def test_rows_of_numbers_are_read_at_once() -> None:
    """The last axis holds the bytes; the others stay."""
    assert read_number(tf.constant([[1, 2], [3, 4]], tf.int64), True).numpy().tolist() == [513, 1027]


def test_spelling() -> None:
    """Bytes are compared with a text."""
    assert bool(spells(tf.constant([79, 75], tf.int64), b"OK"))
    assert not bool(spells(tf.constant([79, 76], tf.int64), b"OK"))
