"""Weights in eight and four bits stand for what they were made of, as closely as so few bits can."""

from __future__ import annotations

import numpy as np
import pytest

from serving.export.optimize.passes.weight_grids import EightBits, FourBits, decibels

GENERATOR = np.random.Generator(np.random.PCG64(7))


def test_eight_bits_have_a_scale_per_channel() -> None:
    """No weight moves by more than half a step of its own channel, however large the others are."""
    weights = (GENERATOR.normal(0, 1, (40, 6)) * [1e-3, 1, 1, 10, 1, 0]).astype(np.float32)
    grid = EightBits.of(weights, (0,))
    steps = np.abs(weights).max(axis=0) / 127
    assert (np.abs(grid.restored - weights) <= steps * 0.5001).all()
    assert grid.integers.dtype == np.int8
    assert grid.scales.shape == (1, 6)


@pytest.mark.parametrize("by_rows", [False, True])
def test_four_bits_take_half_a_byte(by_rows: bool) -> None:
    """Two numbers to a byte, in groups of 64 along a channel; the noise is a few hundredths of the power."""
    weights = GENERATOR.normal(0.2, 0.05, (128, 256)).astype(np.float32)
    grid = FourBits.of(weights, by_rows=by_rows)
    assert grid is not None
    assert grid.bytes.nbytes == weights.size / 2
    assert grid.scales.nbytes + grid.lows.nbytes == weights.size / 64 * 4
    assert np.abs(grid.restored.reshape(weights.shape) - weights).max() < 0.04
    assert decibels(weights, grid.restored) > 25


def test_a_group_keeps_its_own_range() -> None:
    """Weights of one group do not lose for those of another, a thousand times as large."""
    small = GENERATOR.normal(0, 1e-3, (64, 3)).astype(np.float32)
    weights = np.concatenate([small, GENERATOR.normal(0, 1, (64, 3)).astype(np.float32)])
    grid = FourBits.of(weights, by_rows=False)
    assert grid is not None
    restored = grid.restored.reshape(weights.shape)[:64]
    assert decibels(small, restored) > 15


def test_rare_ends_are_cut() -> None:
    """A group with one far value has less noise than its full range would give."""
    weights = GENERATOR.normal(0, 1, (64, 50)).astype(np.float32)
    grid = FourBits.of(weights, by_rows=False)
    assert grid is not None
    low, high = weights.min(axis=0), weights.max(axis=0)
    full = np.round((weights - low) / (high - low) * 15) / 15 * (high - low) + low
    assert decibels(weights, grid.restored) > decibels(weights, full)


@pytest.mark.parametrize(("shape", "by_rows"), [((100, 64), False), ((64, 100), True), ((3, 3, 5, 8), False)])
def test_without_groups_there_are_no_four_bits(shape: tuple[int, ...], by_rows: bool) -> None:
    """Where a channel is no whole number of groups, nothing is made."""
    assert FourBits.of(np.ones(shape, np.float32), by_rows=by_rows) is None


@pytest.mark.parametrize("value", [0.0, 2.5, -3.0])
def test_weights_of_one_value(value: float) -> None:
    """A group without any width is that value, as closely as 16 bits hold it."""
    weights = np.full((64, 2), value, np.float32)
    grid = FourBits.of(weights, by_rows=False)
    assert grid is not None
    np.testing.assert_allclose(grid.restored.reshape(weights.shape), weights, atol=0.01)
