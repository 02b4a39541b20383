"""Products over more than two axes become products of rows, joined with what is behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.grappler import optimized
from serving.export.optimize.passes.gelu import write_gelus
from serving.export.optimize.passes.layer_norms import write_layer_norms
from serving.export.optimize.passes.products import write_products_of_rows
from serving.export.optimize.passes.reshapes import simplify_reshapes
from tests.serving.export.optimize.networks import graph_of, operations_in_a_session

GENERATOR = np.random.Generator(np.random.PCG64(11))
layers = keras.layers


def simplified(model: Any) -> ForwardGraph:
    for variable in model.variables:
        variable.assign(GENERATOR.normal(0.1, 0.5, variable.shape))
    return optimized(graph_of(model), ("function", "constfold", "arithmetic", "dependency"))


def fused(graph: ForwardGraph, rows: Mapping[str, NDArray[Any]]) -> list[list[str]]:
    return sorted([text.decode() for text in node.attr["fused_ops"].list.s]
                  for node in operations_in_a_session(graph, rows) if "FusedMatMul" in node.op)


@pytest.mark.parametrize("shape", [(None, 6), (5, 6), (3, 4, 6), (None, 4, 6)], ids=str)
def test_a_feed_forward_net(shape: tuple[int | None, ...]) -> None:
    """A net with a residual sum, over sequences and pictures: each product takes in its bias and its activation."""
    x = rows = keras.Input(shape, name="x")
    x = layers.Dense(6)(layers.Dense(12, activation="gelu")(layers.LayerNormalization()(x)))
    graph = simplified(keras.Model(rows, layers.Activation("tanh")(layers.Add()([x, rows]))))
    result = simplify_reshapes(write_gelus(write_layer_norms(write_products_of_rows(graph))))
    for count in (1, 3):
        given = {"x": GENERATOR.normal(0, 1, (count, *(size or 7 for size in shape))).astype(np.float32)}
        expected = graph.run(given, as_written=True)[0]
        np.testing.assert_allclose(result.run(given)[0], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(result.run(given, as_written=True)[0], expected, rtol=1e-4, atol=1e-5)
    found = fused(result, given)
    assert ["BiasAdd", "GeluExact"] in found
    assert len(found) == 2
    assert not [node for node in operations_in_a_session(result, given) if node.op in ("GatherV2", "Prod", "BiasAdd")]


@pytest.mark.parametrize("shape", [(None, 6), (5, 6), (3, 4, 6)], ids=str)
def test_a_normalised_sum(shape: tuple[int | None, ...]) -> None:
    """The normalisation of a residual sum stays one operation, also where the length of the sequence is known."""
    rows = keras.Input(shape, name="x")
    x = layers.LayerNormalization()(layers.Add()([layers.Dense(6)(rows), rows]))
    graph = simplified(keras.Model(rows, layers.Dense(3)(x)))
    result = simplify_reshapes(write_layer_norms(write_products_of_rows(graph)))
    given = {"x": GENERATOR.normal(0, 1, (3, *(size or 7 for size in shape))).astype(np.float32)}
    np.testing.assert_allclose(result.run(given)[0], graph.run(given, as_written=True)[0], rtol=1e-4, atol=1e-5)
    operations = [node.op for node in operations_in_a_session(result, given)]
    assert sum("LayerNorm" in operation for operation in operations) == 1
    assert not {"Rsqrt", "SquaredDifference"} & set(operations)


def test_attention_of_keras() -> None:
    """The products of Keras' own attention take in their biases, those per head as well."""
    x = rows = keras.Input((5, 8), name="x")
    x = layers.MultiHeadAttention(2, 4)(x, x)
    graph = simplified(keras.Model(rows, layers.Activation("tanh")(x)))
    result = simplify_reshapes(write_products_of_rows(graph))
    given = {"x": GENERATOR.normal(0, 1, (3, 5, 8)).astype(np.float32)}
    np.testing.assert_allclose(result.run(given)[0], graph.run(given, as_written=True)[0], rtol=1e-4, atol=1e-5)
    assert len(fused(result, given)) == 4


def test_sums_that_differ_between_steps_stay() -> None:
    """Vectors of positions are no bias."""
    x = rows = keras.Input((5, 8), name="x")
    x = layers.Dense(4)(x)
    graph = simplified(keras.Model(rows, layers.Activation("tanh")(x + np.ones((5, 4), np.float32) * [[1], [2], [3],
                                                                                                     [4], [5]])))
    result = write_products_of_rows(graph)
    given = {"x": GENERATOR.normal(0, 1, (3, 5, 8)).astype(np.float32)}
    np.testing.assert_allclose(result.run(given)[0], graph.run(given, as_written=True)[0], rtol=1e-4, atol=1e-5)


def test_channels_that_are_many_numbers_at_once_stay_apart() -> None:
    """A sum of one number per channel of a picture whose width is that number, too, is still one per channel."""
    x = image = keras.Input((4, 4, 4), name="x")
    x = layers.Dense(4)(x) * np.arange(16, dtype=np.float32).reshape(4, 1, 4)
    graph = simplified(keras.Model(image, layers.Activation("tanh")(x)))
    given = {"x": GENERATOR.normal(0, 1, (2, 4, 4, 4)).astype(np.float32)}
    np.testing.assert_allclose(write_products_of_rows(graph).run(given)[0], graph.run(given, as_written=True)[0],
                               rtol=1e-4, atol=1e-5)
