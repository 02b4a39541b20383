"""A sum behind a convolution or product becomes a BiasAdd where it is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.passes.biases import write_biases
from tests.serving.export.optimize.networks import graph_from


@pytest.mark.parametrize(("bias", "written"), [((8,), True), ((1, 1, 8), True), ((), True), ((6, 1), False),
                                               ((6, 6, 8), False)], ids=str)
@pytest.mark.parametrize("first", [True, False])
def test_sums_behind_a_convolution(bias: tuple[int, ...], written: bool, first: bool) -> None:
    """One number per channel, or one for all, on either side of the sum; never one per place."""
    generator = np.random.Generator(np.random.PCG64(1))
    weights, summand = (generator.normal(0, 1, shape).astype(np.float32) for shape in ((3, 3, 4, 8), bias))

    def build(x: Any) -> Any:
        y = tf.nn.conv2d(x, weights, 1, "SAME")
        return tf.nn.relu(tf.add(y, summand) if first else tf.add(summand, y))

    graph = graph_from(build, None, 6, 6, 4)
    result = write_biases(graph)
    assert ("BiasAdd" in {node.op for node in result.graph_def.node}) is written
    rows = {"x": generator.normal(0, 1, (2, 6, 6, 4)).astype(np.float32)}
    np.testing.assert_allclose(result.run(rows)[0], graph.run(rows)[0], rtol=1e-5, atol=1e-6)


def test_a_sum_behind_something_else_stays() -> None:
    """Behind an activation, a sum is no bias."""
    graph = graph_from(lambda x: tf.nn.relu(x) + tf.constant([1.0, 2.0]), None, 2)
    assert {node.op for node in write_biases(graph).graph_def.node} == {"Placeholder", "Const", "Relu", "AddV2"}
