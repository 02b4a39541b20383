"""TensorFlow's optimisers run before the export, and leave public operations only."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.grappler import tf_optimizer

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


def test_operations_of_the_runtime_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """_FusedMatMul and its like, which TensorFlow makes for itself, never reach a file; what a pass wrote stays."""
    graph = graph_from(lambda x: tf.nn.bias_add(tf.matmul(x, tf.ones((2, 2))), tf.ones(2)), None, 2)
    fused = graph_from(lambda x: tf.nn.bias_add(tf.matmul(x, tf.ones((2, 2))), tf.ones(2)), None, 2)
    node, = (node for node in fused.graph_def.node if node.op == "MatMul")
    bias, = (node for node in fused.graph_def.node if node.op == "BiasAdd")
    node.op = "_FusedMatMul"
    node.input.append(bias.input[1])
    node.attr["num_args"].i = 1
    node.attr["fused_ops"].list.s.append(b"BiasAdd")
    bias.op = "Identity"
    del bias.input[1:]
    bias.attr.pop("data_format", None)
    assert "_FusedMatMul" in {node.op for node in optimized(fused, ["dependency"]).graph_def.node}
    # Which machine's TensorFlow would make one here differs, so it is made to.
    monkeypatch.setattr(tf_optimizer, "OptimizeGraph", lambda config, meta_graph: fused.graph_def)
    with pytest.raises(ValueError, match="_FusedMatMul"):
        optimized(graph, ["remapper"])
