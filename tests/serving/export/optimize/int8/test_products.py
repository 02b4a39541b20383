"""Products of eight bits give what the float32 ones give, as closely as eight bits can, and are as small as that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.int8.product_selection import EightBitProducts
from tests.serving.export.optimize.networks import graph_from

WIDTH = 160
GENERATOR = np.random.Generator(np.random.PCG64(5))
WEIGHTS = [GENERATOR.normal(0, 0.08, (WIDTH, WIDTH)).astype(np.float32) for _ in range(3)]
BIASES = [GENERATOR.normal(0, 0.3, WIDTH).astype(np.float32) for _ in range(3)]


def dense(x: Any, place: int = 0) -> Any:
    return tf.nn.bias_add(tf.matmul(x, WEIGHTS[place]), BIASES[place])


def rows(count: int = 300, seed: int = 1) -> dict[str, Array]:
    return {"x": np.random.Generator(np.random.PCG64(seed)).normal(0.4, 1, (count, WIDTH)).astype(np.float32)}


def built(function: Callable[[Any], Any]) -> ForwardGraph:
    return graph_from(lambda x: tf.identity(function(x), name="out"), None, WIDTH)


def operations(graph: ForwardGraph) -> list[str]:
    return [node.op for node in graph.graph_def.node]


def fusions(graph: ForwardGraph) -> list[list[bytes]]:
    return [list(node.attr["fused_ops"].list.s) for node in graph.graph_def.node if node.op == "_QuantizedMatMul"]


def error(graph: ForwardGraph, quantized: ForwardGraph) -> float:
    """Noise in rows that were not learned from, relative to the signal."""
    expected, actual = (held.run(rows(200, 2))[0] for held in (graph, quantized))
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize(("name", "function"), [
    ("", lambda x: x), ("Relu", tf.nn.relu), ("Relu6", tf.nn.relu6), ("Elu", tf.nn.elu), ("Tanh", tf.tanh),
    ("Sigmoid", tf.sigmoid), ("GeluExact", lambda x: 0.5 * x * tf.math.erfc(-x * 0.70710677)),
    ("GeluApproximate", lambda x: 0.5 * x * (1.0 + tf.tanh(0.7978845608 * (x + 0.044715 * x * x * x))))])
def test_each_activation(name: str, function: Callable[[Any], Any]) -> None:
    """It is computed within the integer product, in float32 at its end as well as in eight bits for the next one."""
    graph = built(lambda x: dense(function(dense(x)), 1))
    quantized = EightBitProducts([rows()], 1.0).rewrite(graph)
    first = [b"BiasAdd", *([name.encode()] if name else []), b"Requantize"]
    assert fusions(quantized) == [first, [b"BiasAdd", b"Dequantize"]]
    assert operations(quantized).count("QuantizeV2") == 1
    assert error(graph, quantized) < 0.03
    alone = built(lambda x: function(dense(x)))
    quantized = EightBitProducts([rows()], 1.0).rewrite(alone)
    assert fusions(quantized) == [[*first[:-1], b"Dequantize"]]
    assert error(alone, quantized) < 0.03


def test_a_residual_sum() -> None:
    """What is added stays float32, and so does what is read by anybody but a product."""
    graph = built(lambda x: dense(x + dense(tf.nn.relu(dense(x)), 1), 2))
    quantized = EightBitProducts([rows()], 1.0).rewrite(graph)
    assert fusions(quantized) == [[b"BiasAdd", b"Relu", b"Requantize"], [b"BiasAdd", b"Add", b"Dequantize"],
                                  [b"BiasAdd", b"Dequantize"]]
    assert "MatMul" not in operations(quantized)
    assert error(graph, quantized) < 0.03


def read_three_times(x: Any) -> Any:
    hidden = tf.tanh(x)
    return tf.concat([dense(hidden, place) for place in range(3)], axis=1) + 1.0


def seen_by_others(x: Any) -> Any:
    hidden = tf.nn.relu(dense(x))
    return tf.concat([dense(hidden, 1), hidden], axis=1)


def test_one_rounding_for_all_that_read() -> None:
    """Three products of one tensor round it once, and a tensor that others read as well stays float32."""
    graph = built(read_three_times)
    quantized = EightBitProducts([rows()], 1.0).rewrite(graph)
    assert operations(quantized).count("QuantizeV2") == 1
    assert operations(quantized).count("_QuantizedMatMul") == 3
    both = built(lambda x: tf.concat([dense(tf.nn.relu(dense(x)), 1), tf.nn.relu(dense(x))], axis=1))
    for held in (both, built(seen_by_others)):
        quantized = EightBitProducts([rows()], 1.0).rewrite(held)
        assert error(held, quantized) < 0.03


def test_a_lopsided_range_costs_no_bit() -> None:
    """Values of which few are negative use all 256 steps: less noise than a range around zero would have."""
    largest = np.abs(WEIGHTS[0]).max(axis=0)
    weights = np.round(WEIGHTS[0] / largest * 127) * largest / 127  # nothing is lost in them
    graph = built(lambda x: tf.matmul(tf.maximum(x, -0.1), weights))
    quantized = EightBitProducts([rows()], 1.0, "min-max").rewrite(graph)
    values = np.maximum(rows(200, 2)["x"], -0.1)
    step = np.abs(values).max() / 127
    around_zero = np.round(values / step) * step @ weights
    noise = np.linalg.norm(around_zero - values @ weights) / np.linalg.norm(values @ weights)
    assert error(graph, quantized) < 0.7 * noise


def test_weights_take_a_byte_each() -> None:
    """The graph shrinks to about a quarter."""
    graph = built(lambda x: dense(dense(dense(x), 1), 2))
    quantized = EightBitProducts([rows()], 1.0).rewrite(graph)
    assert quantized.size_bytes < 0.35 * graph.size_bytes
