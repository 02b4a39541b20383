"""Grids hold 0 and their range, and weights add up to nothing that 16 bits cannot hold."""

from __future__ import annotations

import numpy as np
import pytest

from serving.export.optimize.int8.grids import Grid, rounded_kernel

GENERATOR = np.random.default_rng(11)


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-1.0, 3.0), (-3.0, 1.0), (-1e-3, 5.0), (-5.0, 1e-3),
                                           (-2.0, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("shifted", [False, True])
def test_a_grid_covers_its_range(low: float, high: float, shifted: bool) -> None:
    """With 0 on it exactly, at most a step wider than needed; of both signs it is shifted only where that is asked."""
    grid = Grid.over(low, high, shifted=shifted)
    assert grid.low <= low + 1e-9
    assert grid.high >= high - 1e-9
    assert grid.signed == (low < 0 and not shifted)
    assert (grid.zero > 0) == (low < 0 and shifted)
    steps = 127 if grid.signed else 255
    finest = max(-low, high) / steps if grid.signed else (high - low) / steps
    assert grid.scale <= finest * 1.01 + 1e-8 or grid.zero in (1, 254)
    assert grid.shift == pytest.approx(-grid.low if not grid.signed else 0)


@pytest.mark.parametrize("depthwise", [False, True])
def test_weights_are_rounded_per_channel(depthwise: bool) -> None:
    """Each is off by half a step of its own channel at most, however small the channel is beside others."""
    kernel = GENERATOR.normal(0, 1, (3, 3, 6, 4)) * [1, 10, 1e-3, 1e-6]
    integers, scales = rounded_kernel(kernel.astype(np.float32), depthwise=depthwise)
    assert integers.dtype == np.int8
    assert integers.min() >= -127
    back = integers * scales.reshape(kernel.shape[2:] if depthwise else kernel.shape[3:])
    steps = np.broadcast_to(scales.reshape(kernel.shape[2:] if depthwise else kernel.shape[3:]), kernel.shape)
    assert (np.abs(back - kernel) <= steps / 2 + 1e-6 * np.abs(kernel)).all()


def test_no_pair_of_neighbours_is_too_large() -> None:
    """255 times two weights of one sign fits into 16 bits, whatever they are; where it does anyway no bit is lost."""
    large = GENERATOR.uniform(0.9, 1, (3, 3, 5, 7)).astype(np.float32) * GENERATOR.choice([-1, 1], (3, 3, 5, 7))
    integers, _ = rounded_kernel(large.astype(np.float32), depthwise=False)
    flat = integers.reshape(-1, 7).astype(np.int64)
    for sign in (1, -1):
        pairs = np.maximum(sign * flat[1:], 0) + np.maximum(sign * flat[:-1], 0)
        assert (255 * pairs).max() <= 2**15 - 1
    alone = np.zeros((1, 1, 6, 1), np.float32)
    alone[0, 0, ::2, 0] = 1
    assert rounded_kernel(alone, depthwise=False)[0].max() == 127
