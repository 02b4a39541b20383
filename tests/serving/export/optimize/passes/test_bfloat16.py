"""Convolutions and products compute in bfloat16 where the processor can, between float32 ends."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.grappler import optimized
from serving.export.optimize.passes.bfloat16 import to_bfloat16
from tests.serving.export.optimize.networks import graph_from, graph_of, residual_network, rows_for


def able() -> bool:
    """Whether this machine's processor computes in bfloat16, as TensorFlow sees it."""
    graph = graph_from(lambda x: tf.nn.relu(tf.matmul(x, tf.ones((4, 4)))), None, 4)
    result = optimized(graph, ["auto_mixed_precision_onednn_bfloat16"], bfloat16=True)
    return any(node.op == "Cast" for node in result.graph_def.node)


@pytest.fixture(scope="module")
def graph() -> ForwardGraph:
    return optimized(graph_of(residual_network()), ["function", "constfold", "arithmetic", "dependency"])


def test_products_are_in_bfloat16_and_the_ends_are_not(graph: ForwardGraph) -> None:
    """Where the processor has it: 16-bit weights, half the size, answers within a few hundredths. Else: refused."""
    if not able():
        with pytest.raises(ValueError, match="processor"):
            to_bfloat16(graph)
        return
    result = to_bfloat16(graph)
    types = {node.op: node.attr["T"].type for node in result.graph_def.node if node.op in ("Conv2D", "MatMul")}
    assert set(types.values()) == {tf.bfloat16.as_datatype_enum}
    assert result.inputs == graph.inputs
    assert result.outputs == graph.outputs
    rows = rows_for(residual_network())
    answer, expected = result.run(rows)[0], graph.run(rows)[0]
    assert answer.dtype == np.float32
    assert 0 < np.abs(answer - expected).max() < 0.03 * expected.max()


def test_nothing_to_do_is_told(graph: ForwardGraph) -> None:
    """A graph without products is refused, so that nobody is told of bfloat16 that is not there."""
    with pytest.raises(ValueError, match="nothing became bfloat16"):
        to_bfloat16(graph_from(lambda x: tf.nn.relu(x), None, 4))
