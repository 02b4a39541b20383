"""Passes run one by one; what is further off than its bound is dropped and reported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.errors import ExportError
from serving.export.optimize.edit import GraphEdit
from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.levels import EXACT, ROUGH, SAFE
from serving.export.optimize.rewriting import UNCHANGED, Pass, rewrite
from tests.serving.export.optimize.networks import dense_network, graph_of, residual_network, rows_for


def with_wrong_weights(factor: float) -> Any:
    """A pass that multiplies every weight by a factor."""
    def wrong(graph: ForwardGraph) -> ForwardGraph:
        edit = GraphEdit(graph)
        for node in edit.of_kind("Conv2D"):
            value = edit.constant(node.input[1])
            assert value is not None
            edit.set_inputs(node, [node.input[0], edit.add_constant("wrong", value * np.float32(factor))])
        return edit.finished()

    return wrong


def failing(graph: ForwardGraph) -> ForwardGraph:
    """A pass that makes a graph that cannot run."""
    edit = GraphEdit(graph)
    node = next(edit.of_kind("MatMul"))
    edit.set_inputs(node, [node.input[0], edit.add_constant("odd", np.ones((3, 3), np.float32))])
    return edit.finished()


@pytest.mark.parametrize("make", [residual_network, dense_network], ids=lambda make: make.__name__)
def test_safe_passes_are_exact(make: Any) -> None:
    """Each is within a hundred-thousandth of the model, before the softmax as well, and the graph is smaller."""
    model = make()
    graph = graph_of(model)
    result = rewrite(graph, SAFE, [rows_for(model)])
    assert result.changed
    assert len(result.graph.graph_def.node) < len(graph.graph_def.node) / 2
    assert result.rows == 3
    for report in result.passes:
        assert report.kept or report.reason == UNCHANGED, report
    rows = rows_for(model, 7)
    expected = model(rows["image"]).numpy()
    assert np.abs(result.graph.run(rows)[0] - expected).max() <= EXACT * expected.max()


def test_batch_normalisation_is_gone() -> None:
    """What is left of the residual network is convolutions, products, biases and activations."""
    model = residual_network()
    result = rewrite(graph_of(model), SAFE, [rows_for(model)])
    assert not {"Mul", "Rsqrt", "Sub", "Pad", "ReadVariableOp"} & {node.op for node in
                                                                        result.graph.graph_def.node}


def test_a_wrong_pass_is_dropped() -> None:
    """It is reported with its error; the passes after it start from the graph before it."""
    model = residual_network()
    graph = graph_of(model)
    steps = (Pass("wrong", with_wrong_weights(1.01), EXACT), Pass("odd", failing, ROUGH), *SAFE)
    result = rewrite(graph, steps, [rows_for(model)])
    wrong, odd, *rest = result.passes
    assert not wrong.kept
    assert wrong.error_before_activation is not None
    assert wrong.error_before_activation > 1e-4
    assert "allowed" in wrong.reason
    assert not odd.kept
    assert odd.error is None
    assert odd.reason
    assert any(report.kept for report in rest)
    rows = rows_for(model, 4)
    np.testing.assert_allclose(result.graph.run(rows)[0], model(rows["image"]), rtol=1e-4, atol=1e-6)


def test_a_bound_is_a_bound() -> None:
    """The same pass is kept where more is allowed."""
    model = residual_network()
    result = rewrite(graph_of(model), [Pass("wrong", with_wrong_weights(1.0001), ROUGH)], [rows_for(model)])
    assert result.kept("wrong")
    assert result.last == result.passes[0]
    assert result.to_dict()["passes"][0]["name"] == "wrong"


def test_without_rows_nothing_is_rewritten() -> None:
    """No sample, no comparison, no rewriting."""
    with pytest.raises(ExportError, match="samples"):
        rewrite(graph_of(residual_network()), SAFE, [])


def test_the_result_is_the_same_every_time() -> None:
    """Two runs over the same weights give the same bytes."""
    graphs = []
    for _ in range(2):
        model = residual_network()
        graphs.append(rewrite(graph_of(model), SAFE, [rows_for(model)]).graph.graph_def)
        tf.keras.backend.clear_session()
    first, second = (graph.SerializeToString(deterministic=True) for graph in graphs)
    assert first == second
