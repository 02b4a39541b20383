"""Factors and summands per channel move into weights and biases, and nothing else does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.passes.folding import fold
from tests.serving.export.optimize.networks import graph_from

GENERATOR = np.random.Generator(np.random.PCG64(5))


def numbers(*shape: int) -> Any:
    return tf.constant(GENERATOR.normal(0, 1, shape).astype(np.float32))


def kinds(graph: ForwardGraph) -> list[str]:
    return sorted(node.op for node in graph.graph_def.node if node.op not in ("Const", "Placeholder"))


def check(build: Any, shape: tuple[int | None, ...], left: list[str]) -> None:
    """Folds, and compares the operations that are left and the answers."""
    graph = graph_from(build, *shape)
    result = fold(graph)
    assert kinds(result) == sorted(left)
    rows = {"x": GENERATOR.normal(0, 1, [3, *shape[1:]]).astype(np.float32)}
    np.testing.assert_allclose(result.run(rows)[0], graph.run(rows)[0], rtol=1e-4, atol=1e-5)


IMAGE = (None, 6, 6, 4)


@pytest.mark.parametrize("shape", [(8,), (1, 8), (1, 1, 1, 8), (), (1,)], ids=str)
def test_a_factor_behind_a_convolution(shape: tuple[int, ...]) -> None:
    """In whatever shape a factor per channel, or one for all, is written, it becomes part of the weights."""
    check(lambda x: tf.nn.relu(tf.nn.conv2d(x, numbers(3, 3, 4, 8), 1, "SAME") * numbers(*shape)), IMAGE,
          ["Conv2D", "Relu"])


def test_a_whole_batch_normalisation() -> None:
    """Bias, factor and summand become weights and one sum."""
    check(lambda x: tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, numbers(3, 3, 4, 8), 2, "VALID"), numbers(8))
                               * numbers(8) + numbers(8)), IMAGE, ["BiasAdd", "Conv2D", "Relu"])


def test_depthwise_weights() -> None:
    """A depthwise convolution's channels are its last two axes."""
    check(lambda x: tf.nn.relu((tf.nn.depthwise_conv2d(x, numbers(3, 3, 4, 2), [1, 1, 1, 1], "SAME") + numbers(8))
                               * numbers(1, 1, 1, 8)), IMAGE, ["AddV2", "DepthwiseConv2dNative", "Relu"])


def test_grouped_weights() -> None:
    """The channels of a convolution in groups are its last axis as well."""
    check(lambda x: tf.nn.relu(tf.nn.conv2d(x, numbers(3, 3, 2, 8), 1, "SAME") * numbers(8)), IMAGE,
          ["Conv2D", "Relu"])


@pytest.mark.parametrize("turned", [False, True])
def test_matrix_products(turned: bool) -> None:
    """Weights of a product may stand the other way round."""
    check(lambda x: tf.nn.relu(tf.matmul(x, numbers(*((7, 5) if turned else (5, 7))), transpose_b=turned)
                               * numbers(7) + numbers(7)), (None, 5), ["AddV2", "MatMul", "Relu"])


def test_the_last_operation_of_all() -> None:
    """A factor that gives the graph's own output is folded, too; the output keeps its name."""
    check(lambda x: tf.matmul(x, numbers(5, 7)) * numbers(7), (None, 5), ["Identity", "MatMul"])


def test_what_others_read_stays() -> None:
    """A convolution whose result is read twice keeps its weights."""
    def build(x: Any) -> Any:
        y = tf.nn.conv2d(x, numbers(3, 3, 4, 8), 1, "SAME")
        return tf.nn.relu(y * numbers(8)) + y

    check(build, IMAGE, ["AddV2", "Conv2D", "Mul", "Relu"])


def test_shared_weights_stay_with_the_other() -> None:
    """Of two convolutions with the same weights, the one without a factor keeps them as they were."""
    def build(x: Any) -> Any:
        weights = numbers(3, 3, 4, 4)
        return tf.nn.relu(tf.nn.conv2d(tf.nn.conv2d(x, weights, 1, "SAME"), weights, 1, "SAME") * numbers(4))

    check(build, IMAGE, ["Conv2D", "Conv2D", "Relu"])


@pytest.mark.parametrize("shape", [(6, 1), (6, 6, 8), (2, 1, 6, 6, 8)], ids=str)
def test_factors_of_places_stay(shape: tuple[int, ...]) -> None:
    """A factor that differs between places of a picture, or adds an axis, is none of the weights."""
    check(lambda x: tf.nn.relu(tf.nn.conv2d(x, numbers(3, 3, 4, 8), 1, "SAME") * numbers(*shape)), (3, 6, 6, 4),
          ["Conv2D", "Mul", "Relu"])


def test_a_sum_that_widens_stays() -> None:
    """One channel plus eight numbers is eight channels; that is no bias."""
    check(lambda x: tf.nn.relu((tf.nn.conv2d(x, numbers(3, 3, 4, 1), 1, "SAME") + numbers(1)) * numbers(8)), IMAGE,
          ["AddV2", "Conv2D", "Mul", "Relu"])
