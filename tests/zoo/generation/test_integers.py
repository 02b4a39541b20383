"""Products in 8-bit integers are those of the rounded numbers, whatever else is in the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo.generation.small_gpt2 import small_gpt2
from zoo.generation.decoder import Decoder
from zoo.generation.integers import integer_product, rounded
from zoo.generation.layout import in_bfloat16, in_int8, laid_out
from zoo.generation.network import whole_logits

IDS = [[104, 101, 108, 108, 111, 256, 7], [1, 2, 3, 4, 5, 6, 8]]


def drawn(*shape: int, seed: int = 3) -> Any:
    return np.random.Generator(np.random.PCG64(seed)).normal(size=shape).astype(np.float32)


def multiply(x: Any, kernel: Any, turned: bool) -> Any:
    integers, largest = rounded(kernel, 0 if turned else 1)

    @tf.function(autograph=False)
    def product(rows: Any) -> Any:
        return integer_product(rows, tf.constant(integers), tf.constant(largest), turned=turned)

    return product(tf.constant(x)).numpy()


def test_rounding_keeps_each_output_within_half_a_step() -> None:
    """127 stands for the largest weight of each output, and no weight moves by more than half a 127th of it."""
    kernel = drawn(40, 9) * np.geomspace(1e-3, 1e3, 9).astype(np.float32)
    for axis, matrix in ((1, kernel), (0, kernel.T)):
        integers, largest = rounded(matrix, axis)
        assert integers.dtype == np.int8 and np.abs(integers.astype(int)).max() == 127
        np.testing.assert_array_equal(largest, np.abs(kernel).max(axis=0))
        steps = np.expand_dims(largest / 127, 1 - axis)
        assert (np.abs(integers * steps - matrix) <= 0.5001 * steps).all()
    integers, largest = rounded(np.zeros((3, 2), np.float32), 1)
    assert not integers.any() and np.isfinite(largest).all()


@pytest.mark.parametrize("turned", [False, True])
def test_a_product_is_that_of_the_rounded_numbers(turned: bool) -> None:
    """The operation multiplies exactly what was rounded: NumPy's integers give the same, to float32's last digits."""
    x, kernel = drawn(5, 64) * np.array([[1e-3], [1.0], [50.0], [0.0], [7.0]], np.float32), drawn(64, 33, seed=4)
    found = multiply(x, kernel.T.copy() if turned else kernel, turned)
    integers, largest = rounded(kernel, 1)
    of_row = np.maximum(np.abs(x).max(axis=1, keepdims=True), 1e-30)
    rows = np.rint(x * (np.float32(127) / of_row)).astype(int)
    np.testing.assert_allclose(found, rows @ integers.astype(int) * of_row * largest / 127**2, rtol=1e-5, atol=1e-6)
    expected = x @ kernel
    assert (np.abs(found - expected) <= 0.03 * np.abs(expected).max(axis=1, keepdims=True) + 1e-6).all()
    assert not found[3].any()


def test_a_row_is_multiplied_as_if_it_were_alone() -> None:
    """A row with large numbers beside it has the same answer as without."""
    x, kernel = drawn(2, 64), drawn(64, 33, seed=4)
    x[1] *= 1000
    np.testing.assert_array_equal(multiply(x, kernel, False)[:1], multiply(x[:1], kernel, False))


@pytest.mark.parametrize(("change", "bytes_per_weight", "bound"), [(in_bfloat16, 2, 0.02), (in_int8, 1, 0.08)])
def test_a_decoder_in_fewer_bits_is_near_and_smaller(change: Any, bytes_per_weight: int, bound: float) -> None:
    """Kernels and token table take the bytes that they should, and the scores stay near those in float32."""
    whole = laid_out(Decoder.of(small_gpt2()))
    changed = change(whole)
    ids = tf.constant(IDS)

    def scores(decoder: Decoder) -> Any:
        return tf.function(lambda: whole_logits(decoder.read(), ids, tf.ones_like(ids, tf.bool)))().numpy()

    for kernel in (changed.tokens, changed.blocks[0].parts[0].qkv.kernel, changed.blocks[1].parts[1].output.kernel):
        assert kernel.dtype.size == bytes_per_weight
    expected, found = scores(whole), scores(changed)
    assert 0 < np.abs(found - expected).max() < bound * np.abs(expected).max()
