"""A residual sum with its bias behind it becomes a convolution with a bias and then a sum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.passes.sums import write_sums
from tests.serving.export.optimize.networks import graph_from

GENERATOR = np.random.default_rng(7)
ROWS = {"x": GENERATOR.normal(0, 1, (2, 5, 5, 4)).astype(np.float32)}
KERNEL = GENERATOR.normal(0, 1, (3, 3, 4, 4)).astype(np.float32)
BIAS = GENERATOR.normal(0, 1, (4,)).astype(np.float32)


def residual(x: Any) -> Any:
    return tf.nn.relu(tf.add_n([x, tf.nn.conv2d(x, KERNEL, 1, "SAME")]) + BIAS)


def other_bias(x: Any) -> Any:
    """Something else reads the sum before its bias."""
    total = tf.add_n([tf.nn.conv2d(x, KERNEL, 1, "SAME"), x])
    return (total + BIAS) * total


def no_bias(x: Any) -> Any:
    return tf.add_n([x, tf.nn.relu(x)])


def whole_row(x: Any) -> Any:
    """What is added has more than one number per channel."""
    return tf.add_n([x, tf.nn.conv2d(x, KERNEL, 1, "SAME")]) + ROWS["x"][:1]


@pytest.mark.parametrize(("build", "biases"), [(residual, 1), (other_bias, 0), (no_bias, 0), (whole_row, 0)])
def test_the_same_sum_in_pairs(build: Any, biases: int) -> None:
    """No AddN is left, the numbers are the same, and a bias is moved only where nothing else sees it."""
    graph = graph_from(build, None, 5, 5, 4)
    written = write_sums(graph)
    kinds = [node.op for node in written.graph_def.node]
    assert "AddN" in [node.op for node in graph.graph_def.node]
    assert "AddN" not in kinds
    assert kinds.count("BiasAdd") == biases
    np.testing.assert_allclose(written.run(ROWS)[0], graph.run(ROWS)[0], rtol=1e-5, atol=1e-4)


def test_three_stay_together() -> None:
    """An AddN of three tensors is left as it is."""
    graph = graph_from(lambda x: tf.add_n([x, tf.nn.relu(x), tf.abs(x)]), None, 5, 5, 4)
    assert write_sums(graph).graph_def == graph.graph_def
