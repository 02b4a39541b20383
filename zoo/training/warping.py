"""Linear maps of pictures: one operation for rotation, zoom, shear and shift, a map of its own for each picture."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def warp(images: Any, matrices: Any, shifts: Any | None = None) -> Any:
    """Draws each picture anew: the value at p is that of the old picture at centre + matrix (p - centre) + shift.

    Values between pixels are interpolated linearly; beyond the edge the nearest pixel counts, which suits
    photographs and drawings on a plain ground alike.

    Args:
        images: float [N, H, W, C].
        matrices: float32 [N, 2, 2] or [1, 2, 2], in (x, y) order.
        shifts: float32 [N, 2] in pixels, (x, y), or None.

    Returns:
        Pictures of the same shape and dtype.
    """
    matrices = tf.broadcast_to(matrices, [tf.shape(images)[0], 2, 2])
    centre = (tf.cast(tf.gather(tf.shape(images), [2, 1]), tf.float32) - 1.0) / 2.0  # x before y
    offset = centre - tf.linalg.matvec(matrices, centre)
    if shifts is not None:
        offset += shifts
    rows = tf.concat([matrices, offset[..., None]], -1)
    zeros = tf.zeros([tf.shape(rows)[0], 2])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images, transforms=tf.concat([tf.reshape(rows, [-1, 6]), zeros], -1),
        output_shape=tf.shape(images)[1:3], fill_value=0.0, interpolation="BILINEAR", fill_mode="NEAREST")
