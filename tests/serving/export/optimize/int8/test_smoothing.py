"""Dividing what is multiplied and multiplying its weights changes no number, wherever the division goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.edit import GraphEdit
from serving.export.optimize.int8.product_chains import products_of
from serving.export.optimize.int8.smoothing import smoothed
from tests.serving.export.optimize.int8.test_products import WEIGHTS, WIDTH, built, operations, rows

GENERATOR = np.random.default_rng(4)
SCALE, OFFSET = (GENERATOR.normal(1, 0.3, WIDTH).astype(np.float32) for _ in range(2))


def of_a_normalisation(x: Any) -> Any:
    """Scale and offset take the factors over."""
    return tf.matmul(x * SCALE + OFFSET, WEIGHTS[1])


def of_a_product(x: Any) -> Any:
    """The product before takes them over, through its activation, and its bias with it."""
    return tf.matmul(tf.nn.relu(tf.nn.bias_add(tf.matmul(x, WEIGHTS[0]), OFFSET)), WEIGHTS[1])


def read_twice(x: Any) -> Any:
    """Something else reads the same, which must not change."""
    even = x * SCALE + OFFSET
    return tf.matmul(even, WEIGHTS[1]) + even


def bent(x: Any) -> Any:
    """An activation that is no multiple of a multiple."""
    return tf.matmul(tf.tanh(tf.matmul(x, WEIGHTS[0])), WEIGHTS[1])


@pytest.mark.parametrize(("build", "multiplications"), [
    (of_a_normalisation, 0), (of_a_product, 0), (read_twice, 1), (bent, 1)])
def test_the_numbers_stay(build: Any, multiplications: int) -> None:
    """Where nothing in front can take the factors over, there is one multiplication more, and none elsewhere."""
    graph = built(build)
    source = products_of(graph, GraphEdit(graph))[-1].source
    factors = np.exp(GENERATOR.normal(0, 2, WIDTH)).astype(np.float32)
    even = smoothed(graph, {source: factors})
    assert even.graph_def != graph.graph_def
    assert operations(even).count("Mul") == operations(graph).count("Mul") + multiplications
    np.testing.assert_allclose(even.run(rows())[0], graph.run(rows())[0], rtol=1e-3, atol=1e-3)
