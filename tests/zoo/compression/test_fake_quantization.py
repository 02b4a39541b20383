"""Numbers rounded to eight bits: the grid of the integer kernels, and the gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from zoo.compression.fake_quantization import MovingRange, rounded_activations, rounded_kernel


def by_tensorflow(x: Any, low: float, high: float, shifted: bool) -> Any:
    """The same through TensorFlow's own quantisation, as an int8 export writes it."""
    if shifted:
        zero = round(-low / (high - low) * 255)
        step = max(-low / zero, high / (255 - zero))
        codes, bottom, top = tf.raw_ops.QuantizeV2(input=x, min_range=-zero * step, max_range=(255 - zero) * step,
                                                   T=tf.quint8, mode="MIN_FIRST")
        return tf.raw_ops.Dequantize(input=codes, min_range=bottom, max_range=top, mode="MIN_FIRST").numpy()
    kind = tf.qint8 if low < 0 else tf.quint8
    reach = max(-low, high)
    codes, bottom, top = tf.raw_ops.QuantizeV2(input=x, min_range=-reach if low < 0 else 0.0, max_range=reach, T=kind,
                                               mode="SCALED", round_mode="HALF_TO_EVEN", narrow_range=low < 0)
    return tf.raw_ops.Dequantize(input=codes, min_range=bottom, max_range=top, mode="SCALED").numpy()


@pytest.mark.parametrize(("low", "high", "shifted"), [(0.0, 3.1, False), (-1.7, 3.1, False), (-4.0, 0.5, False),
                                                      (-1.7, 3.1, True), (-4.0, 0.5, True)])
def test_activations_lie_on_the_grid_of_the_integer_kernels(low: float, high: float, shifted: bool) -> None:
    """Rounding is what QuantizeV2 and Dequantize do, inside the range and beyond it."""
    x = np.random.RandomState(0).uniform(-3.0 if low < 0 else -0.2, 4.0, size=(40, 7)).astype("float32")
    rounded = rounded_activations(tf.constant(x), tf.constant(low), tf.constant(high), shifted=shifted).numpy()

    np.testing.assert_allclose(rounded, by_tensorflow(x, low, high, shifted), rtol=1e-5, atol=1e-5)
    assert 50 < len(np.unique(rounded)) <= 255


def test_the_gradient_passes_inside_the_range_alone() -> None:
    """What was cut off does not learn; all else learns as if it had not been rounded."""
    x = tf.constant([-0.5, 0.3, 1.9, 2.5])
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(rounded_activations(x, tf.constant(0.0), tf.constant(2.0)) * [1.0, 2.0, 3.0, 4.0])

    np.testing.assert_array_equal(tape.gradient(total, x), [0.0, 2.0, 3.0, 0.0])


@pytest.mark.parametrize(("shape", "depthwise", "axes"), [((3, 3, 4, 5), False, (0, 1, 2)), ((6, 5), False, (0,)),
                                                          ((3, 3, 4, 2), True, (0, 1))])
def test_each_channel_of_a_kernel_has_a_grid_of_its_own(shape: tuple[int, ...], depthwise: bool,
                                                        axes: tuple[int, ...]) -> None:
    """A factor per channel, such as a folded normalisation's, scales the rounded kernel and changes no code."""
    random = np.random.RandomState(1)
    kernel = random.normal(size=shape).astype("float32")
    channels = shape[len(axes):]
    factors = 2.0 ** random.randint(-6, 6, size=channels).astype("float32")  # exact in float32
    plain = rounded_kernel(tf.constant(kernel), depthwise=depthwise).numpy()
    steps = np.abs(kernel).max(axis=axes) / 127.0

    np.testing.assert_allclose(plain / steps, np.round(plain / steps), atol=1e-3)
    assert (np.abs(plain - kernel) <= steps / 2 * 1.001).all() and (plain != kernel).any()
    np.testing.assert_array_equal(rounded_kernel(tf.constant(kernel * factors), depthwise=depthwise).numpy(),
                                  plain * factors)


def test_a_kernel_learns_as_if_it_were_not_rounded() -> None:
    """The gradient of the rounded kernel is the kernel's."""
    kernel = tf.constant(np.random.RandomState(2).normal(size=(4, 3)).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        total = tf.reduce_sum(rounded_kernel(kernel) ** 2)

    np.testing.assert_allclose(tape.gradient(total, kernel), 2 * rounded_kernel(kernel), rtol=1e-6)


def test_a_range_follows_what_it_sees() -> None:
    """It begins with the first batch, moves with the next ones, and stands still where nobody watches."""
    known = MovingRange("range")
    known.watch(tf.constant([1.0, 3.0]), tf.constant(1.0))
    assert known.values() == (0.0, 3.0)
    known.watch(tf.constant([-2.0, 1.0]), tf.constant(1.0))
    assert known.values() == (-1.0, 2.0)
    known.watch(tf.constant([-50.0, 50.0]), tf.constant(0.0))
    assert known.values() == (-1.0, 2.0)
