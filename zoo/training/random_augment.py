"""RandAugment (Cubuk et al. 2019) for a whole batch at once, decided by a seed alone.

Each picture draws two of fourteen operations, one after the other. An operation that moves pixels becomes one warp
for the batch with a map per picture; one that changes values is computed for the batch and kept where it was drawn.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from zoo.training.warping import warp

ROUNDS = 2
MAX_MAGNITUDE = 10.0
OPERATIONS = ("identity", "autocontrast", "equalize", "solarize", "posterize", "brightness", "contrast", "color",
              "sharpness", "rotate", "shear_x", "shear_y", "translate_x", "translate_y")

# The largest change of each operation, reached at magnitude 10.
MAX_ENHANCEMENT = 0.9
MAX_ANGLE = 0.5236  # 30 degrees
MAX_SHEAR = 0.3
MAX_SHIFT = 0.3  # of the picture's size
MIN_BITS = 4.0

_LUMINANCE = (0.299, 0.587, 0.114)
_LEVELS = 256


def randaugment(pixels: Any, seed: Any, magnitude: float, *, bgr: bool = False) -> Any:
    """Changes each picture by two operations drawn at random.

    Args:
        pixels: float32 [N, H, W, C] in [0, 1], C of 1 or 3.
        seed: int [2].
        magnitude: How far the operations go, in [0, 10].
        bgr: Whether the channels are blue, green, red.

    Returns:
        Pictures of the same shape in [0, 1].
    """
    for index in range(ROUNDS):
        seeds = tf.random.experimental.stateless_split(tf.random.experimental.stateless_fold_in(seed, index), 2)
        count = tf.shape(pixels)[0]
        drawn = tf.random.stateless_uniform([count], seeds[0], 0, len(OPERATIONS), tf.int32)
        sign = tf.where(tf.random.stateless_uniform([count], seeds[1]) < 0.5, -1.0, 1.0)
        pixels = apply_operations(pixels, drawn, sign * (magnitude / MAX_MAGNITUDE), bgr=bgr)
    return pixels


def apply_operations(pixels: Any, drawn: Any, amounts: Any, *, bgr: bool = False) -> Any:
    """Applies one operation to each picture.

    Args:
        pixels: float32 [N, H, W, C] in [0, 1].
        drawn: int32 [N], indices into `OPERATIONS`.
        amounts: float32 [N] in [-1, 1]: the share of the largest change, with its direction.
        bgr: Whether the channels are blue, green, red.

    Returns:
        Pictures of the same shape in [0, 1].
    """
    strength = tf.abs(amounts)[:, None, None, None]
    changed = _enhanced(_moved(pixels, drawn, amounts), drawn, amounts, bgr)
    for name, result in (("autocontrast", _autocontrast(pixels)), ("equalize", _equalize(pixels)),
                         ("solarize", tf.where(pixels >= 1.0 - strength, 1.0 - pixels, pixels)),
                         ("posterize", _posterize(pixels, strength))):
        changed = tf.where(_is(drawn, name), result, changed)
    return tf.clip_by_value(changed, 0.0, 1.0)


def _is(drawn: Any, name: str) -> Any:
    return tf.equal(drawn, OPERATIONS.index(name))[:, None, None, None]


def _amount_of(name: str, drawn: Any, amounts: Any) -> Any:
    return tf.where(tf.equal(drawn, OPERATIONS.index(name)), amounts, 0.0)


def _moved(pixels: Any, drawn: Any, amounts: Any) -> Any:
    angle = _amount_of("rotate", drawn, amounts) * MAX_ANGLE
    cos, sin = tf.cos(angle), tf.sin(angle)
    shear_x = _amount_of("shear_x", drawn, amounts) * MAX_SHEAR
    shear_y = _amount_of("shear_y", drawn, amounts) * MAX_SHEAR
    matrices = tf.stack([tf.stack([cos, shear_x - sin], -1), tf.stack([sin + shear_y, cos], -1)], -2)
    size = tf.cast(tf.shape(pixels)[1:3], tf.float32)
    shifts = tf.stack([_amount_of("translate_x", drawn, amounts) * MAX_SHIFT * size[1],
                       _amount_of("translate_y", drawn, amounts) * MAX_SHIFT * size[0]], -1)
    return warp(pixels, matrices, shifts)


def _enhanced(pixels: Any, drawn: Any, amounts: Any, bgr: bool) -> Any:
    """Brightness, contrast, colour and sharpness: each moves the picture away from, or towards, a duller one."""
    grey = _grey(pixels, bgr)
    dull = pixels
    for name, base in (("brightness", tf.zeros_like(pixels)),
                       ("contrast", tf.reduce_mean(grey, [1, 2], keepdims=True) + tf.zeros_like(pixels)),
                       ("color", grey + tf.zeros_like(pixels)),
                       ("sharpness", _smooth(pixels))):
        dull = tf.where(_is(drawn, name), base, dull)
    factor = 1.0 + amounts[:, None, None, None] * MAX_ENHANCEMENT
    return dull + factor * (pixels - dull)


def _grey(pixels: Any, bgr: bool) -> Any:
    if pixels.shape[-1] == 1:
        return pixels
    weights = tf.constant(_LUMINANCE[::-1] if bgr else _LUMINANCE)
    return tf.reduce_sum(pixels * weights, -1, keepdims=True)


def _smooth(pixels: Any) -> Any:
    """A light blur: 3x3 neighbours with the pixel itself five times."""
    channels = pixels.shape[-1]
    kernel = tf.constant([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]) / 13.0
    padded = tf.pad(pixels, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    return tf.nn.depthwise_conv2d(padded, tf.tile(kernel[..., None, None], [1, 1, channels, 1]), [1, 1, 1, 1], "VALID")


def _autocontrast(pixels: Any) -> Any:
    low = tf.reduce_min(pixels, [1, 2], keepdims=True)
    high = tf.reduce_max(pixels, [1, 2], keepdims=True)
    return tf.where(high > low, tf.math.divide_no_nan(pixels - low, high - low), pixels)


def _posterize(pixels: Any, strength: Any) -> Any:
    """Keeps the highest 8 bits of each value, down to 4 at full strength."""
    step = tf.pow(2.0, tf.round(strength * (8.0 - MIN_BITS)))
    return tf.floor(tf.round(pixels * (_LEVELS - 1)) / step) * step / (_LEVELS - 1)


def _equalize(pixels: Any) -> Any:
    """Gives each channel a flat histogram over 256 levels; a channel of one value stays as it is."""
    shape = tf.shape(pixels)
    levels = tf.cast(tf.round(pixels * (_LEVELS - 1)), tf.int32)
    flat = tf.reshape(tf.transpose(levels, [0, 3, 1, 2]), [shape[0] * shape[3], -1])
    below = tf.cast(tf.cumsum(tf.math.bincount(flat, minlength=_LEVELS, maxlength=_LEVELS, axis=-1), axis=-1),
                    tf.float32)
    total = below[:, -1:]
    first = tf.gather(below, tf.reduce_min(flat, -1, keepdims=True), batch_dims=1)
    table = tf.math.divide_no_nan(below - first, total - first)
    equal = tf.reshape(tf.gather(table, flat, batch_dims=1), [shape[0], shape[3], shape[1], shape[2]])
    spread = tf.reduce_max(pixels, [1, 2], keepdims=True) > tf.reduce_min(pixels, [1, 2], keepdims=True)
    return tf.where(spread, tf.transpose(equal, [0, 2, 3, 1]), pixels)
