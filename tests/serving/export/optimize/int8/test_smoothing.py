"""Dividing what is multiplied and multiplying the weights changes nothing, and adds as little as it can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.edit import GraphEdit
from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.int8.product_chains import products_of
from serving.export.optimize.int8.smoothing import smoothed, smoothing_factors
from tests.serving.export.optimize.int8.test_products import BIASES, WEIGHTS, WIDTH, built, dense, operations, rows

GENERATOR = np.random.default_rng(11)
SCALE = GENERATOR.uniform(0.5, 2, WIDTH).astype(np.float32)
# Every tenth channel reaches a hundred times as far as the others.
FAR = np.where(np.arange(WIDTH) % 10 == 3, 100, 1).astype(np.float32)


def shared(x: Any) -> Any:
    hidden = tf.tanh(x) * FAR + BIASES[0]
    return tf.concat([dense(hidden, 1), dense(hidden, 2), hidden], axis=1)


def reshaped(x: Any) -> Any:
    hidden = tf.reshape(tf.tanh(x) * FAR + BIASES[0], [-1, 1, WIDTH])
    return dense(tf.reshape(hidden, [-1, WIDTH]), 1)


BUILDS: dict[str, tuple[Callable[[Any], Any], bool]] = {
    "scale and offset": (lambda x: dense(tf.tanh(x) * FAR + BIASES[0], 1), False),
    "offset and scale": (lambda x: dense((tf.tanh(x) + BIASES[0]) * FAR, 1), False),
    "through shapes": (reshaped, False),
    "a product": (lambda x: dense(dense(x), 1), False),
    "a product and ReLU": (lambda x: dense(tf.nn.relu(dense(x)), 1), False),
    "turned weights": (lambda x: tf.matmul(tf.nn.relu(tf.matmul(x, WEIGHTS[0], transpose_b=True)), WEIGHTS[1],
                                           transpose_b=True), False),
    "a single offset": (lambda x: dense(tf.tanh(x) * FAR + 0.5, 1), False),
    "GELU": (lambda x: dense(tf.nn.gelu(dense(x)), 1), True),
    "read by others": (shared, True),
    "a sum": (lambda x: dense(tf.tanh(x) + dense(x), 1), True),
    "the input": (lambda x: dense(x, 1), True),
}


def factors_for(graph: ForwardGraph, source: str) -> dict[str, Array]:
    return {source: GENERATOR.uniform(0.01, 30, WIDTH).astype(np.float32)}


def scaled(scale: Array) -> ForwardGraph:
    return built(lambda x: dense(tf.tanh(x) * scale, 1))


@pytest.mark.parametrize("name", BUILDS)
def test_nothing_changes(name: str) -> None:
    """The answers are the same up to the last digits, whatever computes the tensor and whoever else reads it."""
    build, multiplies = BUILDS[name]
    graph = built(build)
    source = products_of(graph, GraphEdit(graph))[-1].source
    even = smoothed(graph, factors_for(graph, source))
    assert even.graph_def != graph.graph_def
    added = operations(even).count("Mul") - operations(graph).count("Mul")
    assert added == multiplies
    (expected,), (actual,) = graph.run(rows(40, 3)), even.run(rows(40, 3))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_what_is_multiplied_is_divided() -> None:
    """Each product reads the tensor over the factors, and all readers of one tensor read the same one."""
    graph = built(shared)
    products = products_of(graph, GraphEdit(graph))
    factors = factors_for(graph, products[0].source)
    even = smoothed(graph, factors)
    sources = {product.source for product in products_of(even, GraphEdit(even))}
    assert len(sources) == 1
    before = graph.run(rows(20, 4), [products[0].source])[-1]
    after = even.run(rows(20, 4), [*sources])[-1]
    np.testing.assert_allclose(after, before / factors[products[0].source], rtol=1e-5, atol=1e-6)


def test_factors_are_chosen_where_they_help() -> None:
    """A tensor of a few large channels gets factors that are larger there; an even one gets none."""
    for scale, chosen in ((FAR, True), (SCALE, False)):
        graph = scaled(scale)
        (product,) = products_of(graph, GraphEdit(graph))
        seen = {product.source: graph.run(rows(), [product.source])[-1]}
        factors = smoothing_factors(graph, [product], [rows()], seen, 20.0)
        assert list(factors) == ([product.source] if chosen else [])
        for value in factors.values():
            assert value.dtype == np.float32 and value[FAR > 1].min() > 3 * value[FAR == 1].max()


def test_a_hidden_layer_stays_in_eight_bits() -> None:
    """Behind GELU a multiplication would cost the way from product to product, so only need brings it in."""
    weights = WEIGHTS[0] * FAR
    graph = built(lambda x: dense(tf.nn.gelu(tf.nn.bias_add(tf.matmul(x, weights), BIASES[0])), 1))
    products = products_of(graph, GraphEdit(graph))
    source = products[1].source
    seen = {source: graph.run(rows(), [source])[-1]}
    assert smoothing_factors(graph, products, [rows()], seen, 0.0) == {}
    assert list(smoothing_factors(graph, products, [rows()], seen, 60.0)) == [source]
