"""GELU, however it is written, is put into the form that TensorFlow joins with the product before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.passes.gelu import write_gelus
from tests.serving.export.optimize.networks import graph_from, operations_in_a_session

GENERATOR = np.random.Generator(np.random.PCG64(7))
ROWS = {"x": GENERATOR.normal(0, 2, (5, 6)).astype(np.float32)}
ROOT = np.float32(np.sqrt(0.5))


def dense(activation: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def build(x: Any) -> Any:
        weights, bias = (tf.constant(GENERATOR.normal(0, 1, shape).astype(np.float32)) for shape in ((6, 16), (16,)))
        return tf.identity(activation(tf.nn.bias_add(tf.matmul(x, weights), bias)), name="out")

    return build


@pytest.mark.parametrize(("activation", "fused"), [
    (lambda x: 0.5 * x * tf.math.erfc(-x * ROOT), "GeluExact"),
    (lambda x: x * 0.5 * (1 + tf.math.erf(x * ROOT)), "GeluExact"),
    (lambda x: tf.nn.gelu(x, approximate=True), "GeluApproximate"),
], ids=["erfc", "erf", "tanh"])
def test_it_is_joined(activation: Callable[[Any], Any], fused: str) -> None:
    """The session of a server computes product, bias and activation in one operation, with the same numbers."""
    graph = graph_from(dense(activation), None, 6)
    result = write_gelus(graph)
    np.testing.assert_allclose(result.run(ROWS, as_written=True)[0], graph.run(ROWS, as_written=True)[0], rtol=1e-5,
                               atol=1e-6)
    np.testing.assert_allclose(result.run(ROWS)[0], graph.run(ROWS, as_written=True)[0], rtol=1e-5, atol=1e-5)
    with_fusion = [node for node in operations_in_a_session(result, ROWS) if "FusedMatMul" in node.op]
    assert [list(node.attr["fused_ops"].list.s) for node in with_fusion] == [[b"BiasAdd", fused.encode()]]


def test_another_curve_stays() -> None:
    """What only looks like it, with another factor, is left alone."""
    graph = graph_from(dense(lambda x: 0.5 * x * tf.math.erfc(-x * 0.6)), None, 6)
    assert [node.op for node in write_gelus(graph).graph_def.node].count("Erfc") == 1
