"""TensorFlow's optimisers run before the export, and leave public operations only."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.grappler import optimized
from tests.serving.export.optimize.networks import graph_from, graph_of, residual_network, rows_for


def test_constants_are_folded() -> None:
    """What does not depend on an input is computed once, here."""
    graph = graph_from(lambda x: x * tf.sqrt(tf.constant(4.0) + 5.0), None, 2)
    result = optimized(graph, ["constfold"])
    assert {node.op for node in result.graph_def.node} == {"Placeholder", "Const", "Mul"}
    assert result.run({"x": np.float32([[1, 2]])})[0].tolist() == [[3, 6]]


def test_a_network_gets_smaller_and_stays_the_same() -> None:
    """Inputs and outputs keep their names, and the answers are the model's."""
    model = residual_network()
    graph = graph_of(model)
    result = optimized(graph, ["function", "constfold", "arithmetic", "dependency"])
    assert (result.inputs, result.outputs) == (graph.inputs, graph.outputs)
    assert len(result.graph_def.node) < len(graph.graph_def.node) / 2
    assert all(not node.device for node in result.graph_def.node)
    np.testing.assert_allclose(result.run(rows_for(model))[0], graph.run(rows_for(model))[0], rtol=1e-5, atol=1e-7)


def test_operations_of_the_runtime_are_refused() -> None:
    """_FusedMatMul and its like, which TensorFlow makes for itself, never reach a file."""
    graph = graph_from(lambda x: tf.matmul(x, tf.ones((2, 2)), name="product"), None, 2)
    node, = (node for node in graph.graph_def.node if node.op == "MatMul")
    bias = graph.graph_def.node.add()
    bias.CopyFrom(next(node for node in graph.graph_def.node if node.op == "Const"))
    bias.name = "bias"
    bias.attr["value"].tensor.CopyFrom(tf.make_tensor_proto([1.0, 2.0]))
    node.op = "_FusedMatMul"
    node.input.append("bias")
    node.attr["num_args"].i = 1
    node.attr["fused_ops"].list.s.append(b"BiasAdd")
    with pytest.raises(ValueError, match="_FusedMatMul"):
        optimized(graph, ["dependency"])
