"""A forward pass as a graph computes what the model computes, and can be traced in its place."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from serving.errors import ExportError
from serving.export.optimize.edit import in_order
from serving.export.optimize.graph import ForwardGraph
from tests.serving.export.optimize.networks import graph_of, residual_network, rows_for
from tests.serving.export.small_models import feature_extractor, sequence_pair, table_regressor, text_classifier


@pytest.mark.parametrize("make", [residual_network, feature_extractor, sequence_pair, table_regressor],
                         ids=lambda make: make.__name__)
def test_the_graph_answers_as_the_model_does(make: object) -> None:
    """Every output comes in the order of tf.nest, from inputs by name, of any number of rows."""
    model = make()  # type: ignore[operator]
    rows = {tensor.name: np.random.default_rng(0).normal(0, 1, [2, *(size or 5 for size in tensor.shape[1:])])
            .astype(np.float32) for tensor in model.inputs}
    graph = graph_of(model)
    expected = tf.nest.flatten(model(tf.nest.pack_sequence_as(model.input, [rows[t.name] for t in model.inputs])))
    outputs = graph.run(rows)
    assert len(outputs) == len(expected) >= 1
    for output, wanted in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_rewritten_pass_answers_as_the_model_does(frozen: bool) -> None:
    """Traced into a function, with constants or with variables, it gives what the model gives."""
    model = residual_network()
    big = keras.Sequential([model, keras.layers.Dense(2048, name="wide")])
    big.build((None, 12, 12, 3))
    spec = tf.TensorSpec([None, 12, 12, 3], tf.float32)
    rewritten = ForwardGraph.of(big, {"image": spec}).as_rewritten(frozen=frozen)
    rows = rows_for(model)["image"]
    call = tf.function(lambda image: rewritten.call({"image": image}), input_signature=[spec], autograph=False)
    np.testing.assert_allclose(call(rows)[0], big(rows), rtol=1e-4, atol=1e-6)
    assert [variable.shape.as_list() for variable in rewritten.variables] == ([] if frozen else [[5, 2048], [2048]])
    assert {variable.ref() for variable in call.get_concrete_function().variables} == {
        variable.ref() for variable in rewritten.variables}


def test_loops_are_refused() -> None:
    """A recurrent model is told apart from one that could be rewritten."""
    model = text_classifier()
    with pytest.raises(ExportError, match="loops"):
        graph_of(model)


def test_what_is_too_large_for_a_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights beyond the limit of a protobuf message are refused before they are copied."""
    monkeypatch.setattr("serving.export.optimize.graph.LARGEST_GRAPH_BYTES", 1000)
    with pytest.raises(ExportError, match="bytes"):
        graph_of(residual_network())


def test_an_input_that_nothing_reads_may_be_given() -> None:
    """An input that was optimised away is no reason to fail."""
    first, second = keras.Input((3,), name="first"), keras.Input((3,), name="second")
    model = keras.Model([first, second], keras.layers.Dense(2)(first) + 0.0 * keras.ops.sum(second, axis=1,
                                                                                            keepdims=True))
    graph = graph_of(model)
    without = type(graph.graph_def)()
    without.CopyFrom(graph.graph_def)
    for node in without.node:
        if graph.inputs["second"] in node.input:
            node.input[:] = [graph.inputs["first"] if name == graph.inputs["second"] else name for name in node.input]
    rows = {"first": np.ones((2, 3), np.float32), "second": np.ones((2, 3), np.float32)}
    pruned = in_order(graph.with_graph_def(without))
    assert graph.inputs["second"] not in {node.name for node in pruned.graph_def.node}
    np.testing.assert_allclose(pruned.run(rows)[0], model([rows["first"], rows["second"]]), rtol=1e-5)
    traced = tf.function(pruned.as_rewritten().call, autograph=False)
    np.testing.assert_allclose(traced({name: tf.constant(row) for name, row in rows.items()})[0],
                               model([rows["first"], rows["second"]]), rtol=1e-5)
