"""Pixels of any size to pixels of one size, in the three ways that `ImagePreprocessing.resize` names."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from zoo.spec import ImagePreprocessing

# A strip is cut to this aspect ratio, relative to the wanted one, before "crop" enlarges it: only the centre is
# used, and 1 x 10000 pixels would become gigabytes.
_MAX_ASPECT = 8


def resize_pixels(pixels: Any, spec: ImagePreprocessing) -> Any:
    """Resizes pixels as `spec` says.

    Args:
        pixels: float32 [h, w, channels] in [0, 255], h and w at least 1.
        spec: Says the size, the way, the interpolation and whether to antialias.

    Returns:
        float32 [spec.height, spec.width, channels] in [0, 255].
    """
    resized = {"stretch": _stretched, "crop": _cropped, "pad": _padded}[spec.resize](pixels, spec)
    if spec.interpolation == "bicubic":
        resized = tf.clip_by_value(resized, 0.0, 255.0)  # bicubic overshoots at edges
    return tf.ensure_shape(resized, [spec.height, spec.width, spec.channels])


def _stretched(pixels: Any, spec: ImagePreprocessing) -> Any:
    return _interpolated(pixels, (spec.height, spec.width), spec)


def _cropped(pixels: Any, spec: ImagePreprocessing) -> Any:
    box_height, box_width = round(spec.height / spec.crop_fraction), round(spec.width / spec.crop_fraction)
    pixels = _without_far_ends(pixels, box_height, box_width)
    height, width = _size(pixels)
    # The picture covers the box: its relatively shorter side gets the box's length.
    covered = tf.stack([tf.maximum(_scaled(height, box_width, width), box_height),
                        tf.maximum(_scaled(width, box_height, height), box_width)])
    resized = _interpolated(pixels, covered, spec)
    top, left = tf.unstack((covered - tf.constant([spec.height, spec.width], tf.int64)) // 2)
    return resized[top:top + spec.height, left:left + spec.width]


def _padded(pixels: Any, spec: ImagePreprocessing) -> Any:
    height, width = _size(pixels)
    fitted = tf.stack([tf.clip_by_value(_scaled(height, spec.width, width), 1, spec.height),
                       tf.clip_by_value(_scaled(width, spec.height, height), 1, spec.width)])
    missing = tf.constant([spec.height, spec.width], tf.int64) - fitted
    before = missing // 2
    margins = tf.concat([tf.stack([before, missing - before], axis=1), tf.zeros([1, 2], tf.int64)], axis=0)
    return tf.pad(_interpolated(pixels, fitted, spec), margins)


def _interpolated(pixels: Any, size: Any, spec: ImagePreprocessing) -> Any:
    return tf.image.resize(pixels, tf.cast(size, tf.int32), method=spec.interpolation, antialias=spec.antialias)


def _size(pixels: Any) -> tuple[Any, Any]:
    shape = tf.shape(pixels, tf.int64)
    return shape[0], shape[1]


def _scaled(length: Any, numerator: Any, denominator: Any) -> Any:
    """Returns length * numerator / denominator rounded half up; in integers, so every mode rounds alike."""
    return (2 * length * numerator + denominator) // (2 * denominator)


def _without_far_ends(pixels: Any, box_height: int, box_width: int) -> Any:
    """Cuts the ends off a strip, the same from both, so that its centre stays the centre."""
    height, width = _size(pixels)
    longest_height = _MAX_ASPECT * width * box_height // box_width + 1
    longest_width = _MAX_ASPECT * height * box_width // box_height + 1
    rows, columns = tf.maximum(height - longest_height, 0) // 2, tf.maximum(width - longest_width, 0) // 2
    return pixels[rows:height - rows, columns:width - columns]
