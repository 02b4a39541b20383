"""Products are found with the bias, the activation and the sum that TensorFlow's integer product takes in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.edit import GraphEdit
from serving.export.optimize.int8.product_chains import Product, products_of
from tests.serving.export.optimize.networks import graph_from

GENERATOR = np.random.Generator(np.random.PCG64(5))
WEIGHTS = GENERATOR.normal(0, 1, (128, 128)).astype(np.float32)
BIAS = GENERATOR.normal(0, 1, 128).astype(np.float32)


def dense(x: Any) -> Any:
    return tf.nn.bias_add(tf.matmul(x, WEIGHTS), BIAS)


def products_in(build: Callable[[Any], Any]) -> list[Product]:
    graph = graph_from(lambda x: tf.identity(build(x), name="out"), None, 128)
    return products_of(graph, GraphEdit(graph))


@pytest.mark.parametrize(("build", "activation", "added", "end"), [
    (lambda x: tf.matmul(x, WEIGHTS, name="end"), "", False, "end"),
    (lambda x: tf.nn.bias_add(tf.matmul(x, WEIGHTS), BIAS, name="end"), "", False, "end"),
    (lambda x: tf.add(BIAS, tf.matmul(x, WEIGHTS), name="end"), "", False, "end"),
    (lambda x: tf.nn.relu(dense(x), name="end"), "Relu", False, "end"),
    (lambda x: tf.add(x, dense(x), name="end"), "", True, "end"),
    (lambda x: tf.add(tf.nn.relu(dense(x), name="end"), x), "Relu", False, "end"),
    (lambda x: tf.multiply(tf.matmul(x, WEIGHTS, transpose_b=True, name="end"), x), "", False, "end"),
], ids=["alone", "bias", "sum as bias", "activation", "residual", "activation before a sum", "something else"])
def test_what_follows_is_taken_in(build: Callable[[Any], Any], activation: str, added: bool, end: str) -> None:
    """The end is the last node that the integer product computes with."""
    (product,) = products_in(build)
    assert (product.activation, product.addend is not None, product.end.name) == (activation, added, end)
    assert product.source == "x:0"


def test_weights_are_inputs_by_channels() -> None:
    """Weights that the product reads transposed are turned, and a missing bias is zeros."""
    (product,) = products_in(lambda x: tf.matmul(x, WEIGHTS, transpose_b=True))
    np.testing.assert_array_equal(product.weights, WEIGHTS.T)
    np.testing.assert_array_equal(product.bias, np.zeros(128))


@pytest.mark.parametrize("build", [
    lambda x: tf.matmul(x, tf.transpose(x)),
    lambda x: tf.matmul(x, WEIGHTS[:, :4]),
    lambda x: tf.matmul(tf.transpose(x), tf.ones((4, 4)))], ids=["no weights", "small", "small and turned"])
def test_others_are_left(build: Callable[[Any], Any]) -> None:
    """Products of two computed tensors, and those too small to be worth it, stay."""
    assert products_in(build) == []


def test_a_sum_belongs_to_one_product() -> None:
    """Of two products that are added to each other, only the first takes the sum in."""
    first, second = products_in(lambda x: dense(x) + tf.matmul(x, WEIGHTS.T))
    assert [first.addend is None, second.addend is None].count(False) == 1


def test_a_row_for_all_is_no_addend() -> None:
    """What is added to every row alike by broadcasting is no tensor of the result's shape."""
    (product,) = products_in(lambda x: dense(x) + tf.reduce_sum(x, axis=0, keepdims=True))
    assert product.addend is None
