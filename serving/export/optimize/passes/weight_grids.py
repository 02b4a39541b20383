"""Weights as integers of eight or four bits: what is stored, and what it stands for.

Eight bits: signed integers with one scale per channel. Four bits: numbers 0..15 with a scale and a lowest value for
each group of 64 along a channel, two of them in a byte.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from serving.export.optimize.graph import Array

GROUP = 64
_STEPS_8, _STEPS_4 = 127, 15
_BFLOAT16 = tf.bfloat16.as_numpy_dtype
# How much of a group's range is covered: what is cut off at the ends makes the rest finer.
_SHARES = (1.0, 0.95, 0.9, 0.85, 0.8)


@dataclass(frozen=True)
class EightBits:
    """Weights in eight bits.

    Attributes:
        integers: int8 in the shape of the weights.
        scales: float32, of a shape that broadcasts to that of the weights.
    """

    integers: Array
    scales: Array

    @classmethod
    def of(cls, weights: Array, axes: tuple[int, ...]) -> EightBits:
        """Rounds weights.

        Args:
            weights: float32.
            axes: The axes that share a scale; the others are channels.
        """
        scales = np.maximum(np.abs(weights).max(axis=axes, keepdims=True), 1e-12).astype(np.float32) / _STEPS_8
        return cls(np.round(weights / scales).astype(np.int8), scales)

    @property
    def restored(self) -> Array:
        """The weights that they stand for, float32."""
        return self.integers.astype(np.float32) * self.scales


@dataclass(frozen=True)
class FourBits:
    """Weights in four bits.

    Attributes:
        bytes: uint8, two numbers each: [groups, 32, channels], or by rows [rows, groups, 32]. The lower four bits hold
            the first half of a group.
        scales: bfloat16 [groups, 1, channels] or [rows, groups, 1].
        lows: bfloat16, as the scales: what 0 stands for.
        axis: Along which axis the two halves of a group stand.
    """

    bytes: Array
    scales: Array
    lows: Array
    axis: int

    @classmethod
    def of(cls, weights: Array, *, by_rows: bool) -> FourBits | None:
        """Rounds weights, or returns None where no groups fit.

        Args:
            weights: float32, channels last; or [rows, width], of which each row is a channel.
            by_rows: Which of them.
        """
        if by_rows:
            rows, width = weights.shape
            return cls._grouped(weights.reshape(rows, -1, GROUP), 2) if width % GROUP == 0 else None
        flat = weights.reshape(-1, weights.shape[-1])
        return cls._grouped(flat.reshape(-1, GROUP, flat.shape[1]), 1) if len(flat) % GROUP == 0 else None

    @classmethod
    def _grouped(cls, groups: Array, axis: int) -> FourBits:
        low, high = groups.min(axis=axis, keepdims=True), groups.max(axis=axis, keepdims=True)
        middle, half = (low + high) / 2, np.maximum(high - low, 1e-12) / 2
        best: tuple[Array, ...] = ()
        for share in _SHARES:
            scales = (2 * half * share / _STEPS_4).astype(_BFLOAT16)
            lows = (middle - half * share).astype(_BFLOAT16)
            numbers = _numbers(groups, scales, lows)
            error = np.square(_values(numbers, scales, lows) - groups).sum(axis=axis, keepdims=True)
            new = (numbers, scales, lows, error)
            best = tuple(np.where(error < best[3], one, other) for one, other in zip(new, best, strict=True)
                         ) if best else new
        first, second = np.split(best[0], 2, axis=axis)
        return cls(first | (second << 4), best[1], best[2], axis)

    @property
    def restored(self) -> Array:
        """The weights that they stand for, float32, by groups."""
        numbers = np.concatenate([self.bytes & 15, self.bytes >> 4], axis=self.axis)
        return _values(numbers, self.scales, self.lows)


def _numbers(values: Array, scales: Array, lows: Array) -> Array:
    steps = (values - lows.astype(np.float32)) / np.maximum(scales.astype(np.float32), 1e-30)
    return np.clip(np.round(steps), 0, _STEPS_4).astype(np.uint8)


def _values(numbers: Array, scales: Array, lows: Array) -> Array:
    return np.asarray(numbers.astype(np.float32) * scales.astype(np.float32) + lows.astype(np.float32))


def decibels(weights: Array, restored: Array) -> float:
    """How far weights lie above what rounding has changed in them."""
    noise = float(np.square(weights - restored.reshape(weights.shape), dtype=np.float64).sum())
    signal = float(np.square(weights, dtype=np.float64).sum())
    return 10 * float(np.log10(max(signal, 1e-30) / max(noise, 1e-30)))

