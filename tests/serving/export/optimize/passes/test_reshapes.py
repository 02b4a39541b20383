"""Reshapes that change nothing are gone, and the others give the same shapes as before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.passes.reshapes import simplify_reshapes
from tests.serving.export.optimize.networks import graph_from, operations_in_a_session

X = {"x": np.arange(48, dtype=np.float32).reshape(2, 4, 6)}


def kinds(graph: ForwardGraph) -> list[str]:
    return [node.op for node in graph.graph_def.node if node.op not in ("Const", "Placeholder")]


def check(build: Any, left: list[str]) -> None:
    graph = graph_from(build, None, None, 6)
    result = simplify_reshapes(graph)
    assert kinds(result) == left
    np.testing.assert_array_equal(result.run(X)[0], graph.run(X)[0])


def test_to_rows_and_back_and_to_rows_again() -> None:
    """What a block asks of the shape that the block before made is what the first one was told."""
    def build(x: Any) -> Any:
        for _ in range(3):
            shape = tf.shape(x)
            rows = tf.nn.relu(tf.reshape(x, (-1, 6)))
            x = tf.reshape(rows, (shape[0], shape[1], 6))
        return tf.identity(x, name="out")

    check(build, ["Reshape", "Relu", "Relu", "Relu", "Shape", "StridedSlice", "StridedSlice", "Pack", "Reshape",
                  "Identity"])


def test_a_reshape_of_unknown_axes_stays() -> None:
    """With two unknown axes a reshape to [-1, 6] is none that changes nothing."""
    check(lambda x: tf.identity(tf.reshape(x, (-1, 6)), name="out"), ["Reshape", "Identity"])


@pytest.mark.parametrize("width", [6, 12])
def test_a_residual_sum_behind_a_reshape(width: int) -> None:
    """The session joins the product with the sum, which needs to see that both have the same rows."""
    generator = np.random.Generator(np.random.PCG64(4))
    weights = [generator.normal(0, 1, shape).astype(np.float32) for shape in ((6, width), (width, 6), (6,))]

    def build(x: Any) -> Any:
        rows = tf.nn.relu(tf.reshape(x, (-1, 6)))
        inner = tf.tanh(tf.reshape(tf.matmul(rows, weights[0]), (-1, 2, width // 2)))
        product = tf.nn.bias_add(tf.matmul(tf.reshape(inner, (-1, width)), weights[1]), weights[2])
        return tf.identity(tf.tanh(product + rows), name="out")

    graph = graph_from(build, None, None, 6)
    result = simplify_reshapes(graph)
    np.testing.assert_allclose(result.run(X)[0], graph.run(X, as_written=True)[0], rtol=1e-5, atol=1e-6)
    fused = [list(node.attr["fused_ops"].list.s) for node in operations_in_a_session(result, X)
             if "FusedMatMul" in node.op]
    assert fused == [[b"BiasAdd", b"Add"]]
