"""Warps of pictures against plain array operations."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from zoo.training.warping import warp

PICTURES = np.random.RandomState(0).uniform(size=(2, 6, 6, 3)).astype("float32")


def matrices(*rows: list[list[float]]) -> tf.Tensor:
    return tf.constant(rows, tf.float32)


def test_identity_changes_no_bit() -> None:
    """The identity gives the same numbers."""
    np.testing.assert_array_equal(warp(PICTURES, matrices([[1, 0], [0, 1]])), PICTURES)


def test_quarter_turns() -> None:
    """Each picture has a map of its own: one is turned by a quarter, the other mirrored."""
    turned = warp(PICTURES, matrices([[0, -1], [1, 0]], [[-1, 0], [0, 1]]))
    np.testing.assert_allclose(turned[0], np.rot90(PICTURES[0]), atol=1e-5)
    np.testing.assert_allclose(turned[1], PICTURES[1][:, ::-1], atol=1e-5)


def test_shift_repeats_the_edge() -> None:
    """A shift of two pixels moves the picture and repeats its last column."""
    moved = warp(PICTURES, matrices([[1, 0], [0, 1]]), tf.constant([[2.0, 0.0], [0.0, 0.0]])).numpy()
    np.testing.assert_allclose(moved[0, :, :4], PICTURES[0, :, 2:], atol=1e-6)
    np.testing.assert_allclose(moved[0, :, 4:], np.repeat(PICTURES[0, :, 5:], 2, axis=1), atol=1e-6)
    np.testing.assert_array_equal(moved[1], PICTURES[1])
