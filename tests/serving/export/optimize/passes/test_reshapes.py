"""Reshapes that change nothing are gone, and the others give the same shapes as before."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.passes.reshapes import simplify_reshapes
from tests.serving.export.optimize.networks import graph_from

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
