"""Layer normalisation becomes what TensorFlow computes in one operation, with the epsilon that it had."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.grappler import optimized
from serving.export.optimize.passes.layer_norms import write_layer_norms
from tests.serving.export.optimize.networks import graph_from, graph_of, operations_in_a_session

GENERATOR = np.random.Generator(np.random.PCG64(9))


def network(*shape: int | None, **options: Any) -> ForwardGraph:
    """A normalisation between two dense layers, simplified as every level does it first."""
    x = image = keras.Input(shape, name="x")
    norm = keras.layers.LayerNormalization(**options)
    model = keras.Model(image, keras.layers.Dense(3)(norm(keras.layers.Dense(16)(x))))
    for variable in norm.weights:
        variable.assign(GENERATOR.normal(1, 0.3, variable.shape))
    return optimized(graph_of(model), ("function", "constfold", "arithmetic", "dependency"))


@pytest.mark.parametrize("shape", [(6,), (None, 6), (4, 5, 6)], ids=str)
@pytest.mark.parametrize("epsilon", [1e-12, 1e-2])
def test_it_is_one_operation(shape: tuple[int | None, ...], epsilon: float) -> None:
    """Rows, sequences and pictures: one operation in the session, and the same numbers for small values, too."""
    graph = network(*shape, epsilon=epsilon)
    result = write_layer_norms(graph)
    rows = {"x": (0.02 * GENERATOR.normal(0, 1, (3, *(size or 7 for size in shape)))).astype(np.float32)}
    expected = graph.run(rows, as_written=True)[0]
    np.testing.assert_allclose(result.run(rows, as_written=True)[0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(result.run(rows)[0], expected, rtol=1e-4, atol=1e-5)
    found = [node for node in operations_in_a_session(result, rows) if "LayerNorm" in node.op]
    assert [round(node.attr["epsilon"].f, 15) for node in found] == [pytest.approx(epsilon)]


@pytest.mark.parametrize("options", [{"center": False}, {"scale": False}, {"center": False, "scale": False}], ids=str)
def test_without_gamma_or_beta(options: dict[str, bool]) -> None:
    """What is left out is one or zero."""
    graph = network(6, **options)
    result = write_layer_norms(graph)
    assert not [node for node in result.graph_def.node if node.op == "Rsqrt"]
    rows = {"x": GENERATOR.normal(0, 1, (3, 6)).astype(np.float32)}
    np.testing.assert_allclose(result.run(rows)[0], graph.run(rows, as_written=True)[0], rtol=1e-4, atol=1e-5)


def test_an_axis_that_is_not_the_last_stays() -> None:
    """Only rows are normalised that way."""
    graph = network(5, 6, axis=1)
    assert [node for node in write_layer_norms(graph).graph_def.node if node.op == "Rsqrt"]


def test_what_is_read_in_between_stays() -> None:
    """A normalisation without its mean taken off is no layer normalisation."""
    def build(x: Any) -> Any:
        mean = tf.reduce_mean(x, [1], keepdims=True)
        scale = tf.math.rsqrt(tf.reduce_mean(tf.math.squared_difference(x, mean), [1], keepdims=True) + 1e-3)
        return tf.identity(x * scale + mean * scale, name="out")

    assert [node for node in write_layer_norms(graph_from(build, None, 8)).graph_def.node if node.op == "Rsqrt"]
