"""The numbers that eight bits stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.graph import Array

UNSIGNED_STEPS, SIGNED_STEPS = 255, 127
# A tensor of zeros still needs a width.
_SMALLEST_WIDTH = 1e-6
# 255 times two weights has to fit into the 16 bits in which processors without VNNI add up pairs.
_LARGEST_PAIR = 128


@dataclass(frozen=True)
class Grid:
    """What the eight bits of an activation stand for: scale times the difference to `zero`.

    Attributes:
        signed: -127..127 around a zero of 0; otherwise 0..255.
        scale: The width of a step.
        zero: The number that stands for 0.
    """

    signed: bool
    scale: float
    zero: int = 0

    @classmethod
    def over(cls, low: float, high: float, *, shifted: bool = False) -> Grid:
        """The finest grid over a range that holds 0.

        Args:
            low: Its lower end.
            high: Its upper end.
            shifted: Whether a range with negative values is to be 0..255 with a zero of its own, instead of signed.
        """
        if low >= 0:
            return cls(False, max(high, _SMALLEST_WIDTH) / UNSIGNED_STEPS)
        if not shifted:
            return cls(True, max(-low, high, _SMALLEST_WIDTH) / SIGNED_STEPS)
        zero = min(max(round(-low / (high - low) * UNSIGNED_STEPS), 1), UNSIGNED_STEPS - 1)
        return cls(False, max(-low / zero, high / (UNSIGNED_STEPS - zero), _SMALLEST_WIDTH / UNSIGNED_STEPS), zero)

    @property
    def dtype(self) -> Any:
        """TensorFlow's name for such numbers."""
        return tf.qint8 if self.signed else tf.quint8

    @property
    def low(self) -> float:
        """The smallest number that it holds."""
        return -(SIGNED_STEPS if self.signed else self.zero) * self.scale

    @property
    def high(self) -> float:
        """The largest number that it holds."""
        return (SIGNED_STEPS if self.signed else UNSIGNED_STEPS - self.zero) * self.scale

    @property
    def shift(self) -> float:
        """What is added to a value for it to be scale times its eight bits."""
        return self.zero * self.scale


def rounded_kernel(kernel: Array, *, depthwise: bool) -> tuple[Array, Array]:
    """A convolution's weights as integers with a scale per channel that comes out.

    Processors with VNNI add up products of eight bits exactly. Older ones add them in pairs of neighbouring inputs in
    16 bits, which saturate; a channel with two large neighbours gets a wider scale, so that none does anywhere.

    Args:
        kernel: float32 [height, width, inputs, outputs]; depthwise [height, width, channels, multiplier].
        depthwise: Whether each output reads one input; nothing is added in pairs then.

    Returns:
        (int8 in the kernel's shape, scales float32 [channels])
    """
    axes = (0, 1) if depthwise else (0, 1, 2)
    scales = np.maximum(np.abs(kernel).max(axis=axes, keepdims=True), 1e-12) / SIGNED_STEPS
    if not depthwise:
        scales = scales * _widening(kernel / scales)
    integers = np.clip(np.round(kernel / scales), -SIGNED_STEPS, SIGNED_STEPS).astype(np.int8)
    return integers, scales.astype(np.float32).reshape(-1)


def _widening(integers: Array) -> Array:
    """How much wider each channel's [outputs] scale has to be for the sum of no two neighbours to be too large."""
    flat = integers.reshape(-1, integers.shape[-1])
    if len(flat) < 2:
        return np.ones(integers.shape[-1])
    pairs = [np.maximum(part[1:], 0) + np.maximum(part[:-1], 0) for part in (flat, -flat)]
    # Rounding moves each of the two by half a step at most.
    widening: Array = np.maximum(np.maximum(*pairs).max(axis=0) / (_LARGEST_PAIR - 1), 1.0)
    return widening
