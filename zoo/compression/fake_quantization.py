"""Numbers rounded to eight bits while a model learns, and the gradient that passes as if they were not.

The grid is the one on which an int8 export computes. A tensor without negative values has 255 steps over [0, high]. Any
other has 127 steps to each side of 0 where a convolution reads it, as far as the larger of -low and high, and 255 steps
over [low, high] with 0 among them where dense layers alone do. A kernel has 127 steps to each side of 0, as far as the
largest weight of each output channel. A factor per channel, such as that of a batch normalisation which is
folded into the kernel, scales the grid with the weights, so folding changes no rounding.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

UNSIGNED_STEPS, SIGNED_STEPS = 255.0, 127.0
_SMALLEST = 1e-8
# How the moving range begins: as a mean over what was seen, until one step counts for a hundredth.
_SLOWEST = 0.01


class MovingRange:
    """The range of a tensor while a model learns: a moving mean of each batch's smallest and largest value.

    Args:
        name: Of its variable.
    """

    def __init__(self, name: str) -> None:
        self.variable = keras.Variable(np.zeros(3, np.float32), trainable=False, autocast=False, name=name)

    def watch(self, x: Any, watching: Any) -> None:
        """Takes a batch into the range.

        Args:
            x: float32 of any shape.
            watching: float32 [], 1 to take it in and 0 to leave the range as it is.
        """
        low, high, seen = tf.unstack(tf.convert_to_tensor(self.variable.value))
        share = tf.maximum(1.0 / (seen + 1.0), _SLOWEST) * watching
        now = tf.stack([tf.minimum(tf.reduce_min(x), 0.0), tf.maximum(tf.reduce_max(x), 0.0)])
        moved = tf.stack([low, high]) * (1.0 - share) + tf.stop_gradient(now) * share
        self.variable.assign(tf.concat([moved, [seen + watching]], axis=0))

    def bounds(self) -> tuple[Any, Any]:
        """Returns low and high, float32 [] each; low is at most 0."""
        low, high, _ = tf.unstack(tf.convert_to_tensor(self.variable.value))
        return low, high

    def values(self) -> tuple[float, float]:
        """Returns low and high as numbers."""
        low, high, _ = self.variable.numpy()
        return float(low), float(high)


def rounded_activations(x: Any, low: Any, high: Any, *, shifted: bool = False) -> Any:
    """Rounds a tensor to the grid of a range; what lies outside is cut off and gets no gradient.

    Args:
        x: float32 of any shape.
        low: The range's lower end, float32 [], at most 0; below 0 the grid has both signs.
        high: Its upper end, at least 0.
        shifted: Whether a grid with both signs follows the range, instead of being alike on both sides.

    Returns:
        float32 of the same shape.
    """
    bottom, step, steps = _shifted_grid(low, high) if shifted else _even_grid(low, high)
    inside = tf.clip_by_value(x, bottom, bottom + steps * step)
    return inside + tf.stop_gradient(tf.round(inside / step) * step - inside)


def _even_grid(low: Any, high: Any) -> tuple[Any, Any, Any]:
    """Returns the lowest number, the width of a step and how many steps there are."""
    signed = low < 0.0
    reach = tf.maximum(tf.where(signed, tf.maximum(-low, high), high), _SMALLEST)
    step = reach / tf.where(signed, SIGNED_STEPS, UNSIGNED_STEPS)
    return tf.where(signed, -reach, 0.0), step, tf.where(signed, 2.0 * SIGNED_STEPS, UNSIGNED_STEPS)


def _shifted_grid(low: Any, high: Any) -> tuple[Any, Any, Any]:
    width = tf.maximum(high - low, _SMALLEST)
    below = tf.clip_by_value(tf.round(-low / width * UNSIGNED_STEPS), 1.0, UNSIGNED_STEPS - 1.0)
    wide_enough = tf.maximum(tf.maximum(-low / below, high / (UNSIGNED_STEPS - below)), _SMALLEST)
    below = tf.where(low < 0.0, below, 0.0)
    step = tf.where(low < 0.0, wide_enough, tf.maximum(high, _SMALLEST) / UNSIGNED_STEPS)
    return -below * step, step, tf.constant(UNSIGNED_STEPS)


def rounded_kernel(kernel: Any, *, depthwise: bool = False) -> Any:
    """Rounds a kernel to the grid of each output channel; the gradient passes unchanged.

    Args:
        kernel: float32 [..., inputs, outputs].
        depthwise: Whether the channels lie on the last two axes [..., channels, multiplier].

    Returns:
        float32 of the same shape.
    """
    axes = list(range(len(kernel.shape) - (2 if depthwise else 1)))
    step = tf.maximum(tf.reduce_max(tf.abs(kernel), axis=axes, keepdims=True), _SMALLEST) / SIGNED_STEPS
    return kernel + tf.stop_gradient(tf.round(kernel / step) * step - kernel)
