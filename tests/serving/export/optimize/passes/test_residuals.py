"""Residual sums behind convolutions become AddN, where that is what they are, and nothing else does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.passes.residuals import write_residuals
from serving.export.optimize.rewriting import Pass, rewrite
from tests.serving.export.optimize.networks import graph_from

GENERATOR = np.random.default_rng(7)
ROWS = {"x": GENERATOR.normal(0, 1, (3, 5, 5, 4)).astype(np.float32)}
KERNEL = GENERATOR.normal(0, 1, (3, 3, 4, 4)).astype(np.float32)
BIAS = GENERATOR.normal(0, 1, (4,)).astype(np.float32)


def biased(x: Any) -> Any:
    return tf.nn.bias_add(tf.nn.conv2d(x, KERNEL, 1, "SAME"), BIAS)


def residual(x: Any) -> Any:
    return tf.nn.relu(x + biased(x))


def of_two(x: Any) -> Any:
    return tf.nn.relu(biased(x) + biased(tf.nn.relu(x)))


def in_sixteen_bits(x: Any) -> Any:
    x = tf.cast(x, tf.bfloat16)
    summed = x + tf.nn.bias_add(tf.nn.conv2d(x, KERNEL.astype(tf.bfloat16.as_numpy_dtype), 1, "SAME"),
                                BIAS.astype(tf.bfloat16.as_numpy_dtype))
    return tf.cast(tf.nn.relu(summed), tf.float32)


def without_bias(x: Any) -> Any:
    return x + tf.nn.conv2d(x, KERNEL, 1, "SAME")


def read_twice(x: Any) -> Any:
    y = biased(x)
    return (x + y) * y


def per_channel(x: Any) -> Any:
    """As squeeze-and-excitation has it: one number per channel, for every place."""
    return biased(x) + tf.reduce_mean(x, [1, 2], keepdims=True)


def one_row(x: Any) -> Any:
    """The same for all rows, so the sum broadcasts over them."""
    return biased(x) + tf.nn.relu(x[:1])


def of_any_size(x: Any) -> Any:
    """Height and width are known when it runs, and may be 1."""
    return biased(x) + tf.image.resize(x, tf.shape(x)[1:3])


@pytest.mark.parametrize(("build", "sums"), [
    (residual, 1), (of_two, 1), (in_sixteen_bits, 1), (without_bias, 0), (read_twice, 0), (per_channel, 0),
    (of_any_size, 0)])
def test_sums_of_one_shape_with_a_convolution(build: Any, sums: int) -> None:
    """What may broadcast, and what TensorFlow would not fuse, stays; the numbers are the same for one row and three."""
    graph = graph_from(build, None, 5, 5, 4)
    written = write_residuals(graph)
    assert [node.op for node in written.graph_def.node].count("AddN") == sums
    for count in (1, 3):
        rows = {"x": ROWS["x"][:count]}
        np.testing.assert_allclose(written.run(rows)[0], graph.run(rows)[0], rtol=1e-2, atol=0.1)
        if build is not in_sixteen_bits:
            np.testing.assert_allclose(written.run(rows)[0], graph.run(rows)[0], rtol=1e-5, atol=1e-5)


def test_a_row_for_all_is_found_out() -> None:
    """How many rows a tensor has is known when it runs; where one is added to all, the comparison drops the rewrite."""
    report, = rewrite(graph_from(one_row, None, 5, 5, 4), [Pass("residuals", write_residuals, 1e-4)], [ROWS]).passes
    assert not report.kept
    assert report.reason
