"""Weights of eight and four bits make a graph small, in the file and in a session, and hardly change its answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.passes.weight_only import eight_bit_weights, four_bit_weights
from tests.serving.export.optimize.networks import graph_from

GENERATOR = np.random.Generator(np.random.PCG64(7))
TABLE = GENERATOR.normal(0, 1, (300, 128)).astype(np.float32)
DENSE = GENERATOR.normal(0, 0.1, (128, 192)).astype(np.float32)
KERNEL = GENERATOR.normal(0, 0.1, (3, 3, 64, 32)).astype(np.float32)
DEPTHS = (GENERATOR.normal(0, 0.1, (3, 3, 512, 1)) * np.linspace(0.01, 2, 512)[:, None]).astype(np.float32)
SMALL = GENERATOR.normal(0, 0.1, (128, 16)).astype(np.float32)
HEADS = GENERATOR.normal(0, 0.1, (128, 4, 32)).astype(np.float32)
REWRITES = {"int8": (eight_bit_weights, 0.02), "int4": (four_bit_weights, 0.15)}


def embedded(x: Any) -> Any:
    rows = tf.gather(TABLE, tf.cast(tf.abs(x) * 40, tf.int32))
    return tf.matmul(tf.reduce_mean(rows, 1), DENSE)


def tied(x: Any) -> Any:
    """A table that is read by rows and multiplied with, as language models do."""
    table = tf.constant(TABLE)
    rows = tf.gather(table, tf.cast(tf.abs(x) * 40, tf.int32))
    return tf.matmul(tf.reduce_mean(rows, 1), table, transpose_b=True)


def convolved(x: Any) -> Any:
    return tf.nn.conv2d(tf.reshape(tf.tile(x, [1, 8]), [-1, 4, 4, 64]), KERNEL, 1, "SAME")


def by_depth(x: Any) -> Any:
    return tf.nn.depthwise_conv2d(tf.reshape(tf.tile(x, [1, 64]), [-1, 4, 4, 512]), DEPTHS, [1, 1, 1, 1], "SAME")


def in_heads(x: Any) -> Any:
    return tf.einsum("nd,dhe->nhe", x, HEADS)


SHAPES = {"embedded": (embedded, 16), "tied": (tied, 16), "convolved": (convolved, 128), "by_depth": (by_depth, 128),
          "in_heads": (in_heads, 128), "dense": (lambda x: tf.matmul(x, DENSE), 128),
          "turned": (lambda x: tf.matmul(x, DENSE.T.copy(), transpose_b=True), 128)}


def graph_for(shape: str) -> tuple[ForwardGraph, dict[str, Array]]:
    function, width = SHAPES[shape]
    graph = graph_from(lambda x: tf.identity(function(x), name="out"), None, width)
    return graph, {"x": np.random.Generator(np.random.PCG64(2)).normal(0, 1, (5, width)).astype(np.float32)}


@pytest.mark.parametrize("bits", REWRITES)
@pytest.mark.parametrize("shape", SHAPES)
def test_answers_hardly_change(shape: str, bits: str) -> None:
    """However the weights are read, by rows or whole, and for one row as well as for many or none."""
    rewrite, allowed = REWRITES[bits]
    graph, rows = graph_for(shape)
    result = rewrite(graph)
    expected, actual = graph.run(rows)[0], result.run(rows)[0]
    assert 0 < np.linalg.norm(actual - expected) < allowed * np.linalg.norm(expected)
    one = {"x": rows["x"][:1]}
    np.testing.assert_allclose(result.run(one)[0], actual[:1], atol=1e-4 * np.abs(expected).max())
    assert result.size_bytes < (0.5 if bits == "int8" or shape == "by_depth" else 0.25) * graph.size_bytes


@pytest.mark.parametrize("bits", REWRITES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_session_holds_the_integers(shape: str, bits: str) -> None:
    """TensorFlow's optimisers do not make the large weights once and keep them."""
    rewrite, _ = REWRITES[bits]
    graph, rows = graph_for(shape)
    held = {id(one): constants_held(one, rows) for one in (graph, rewrite(graph))}
    before, after = held.values()
    assert after < (0.5 if bits == "int8" or shape == "by_depth" else 0.25) * before


def constants_held(graph: ForwardGraph, rows: dict[str, Array]) -> int:
    """Bytes of the constants that a session computes with, after all of its optimisers."""
    held = tf.Graph()
    with held.as_default():
        tf.graph_util.import_graph_def(graph.graph_def, name="")
    told, wish = tf.compat.v1.RunMetadata(), tf.compat.v1.RunOptions(output_partition_graphs=True)
    with tf.compat.v1.Session(graph=held) as session:
        session.run(list(graph.outputs), {"x:0": rows["x"]}, options=wish, run_metadata=told)
    return sum(node.attr["value"].tensor.ByteSize() for part in told.partition_graphs for node in part.node
               if node.op == "Const")


def test_a_table_is_stored_once() -> None:
    """One that is read by rows and multiplied with has one copy of its integers."""
    graph, _ = graph_for("tied")
    for rewrite, _ in REWRITES.values():
        stored = [node for node in rewrite(graph).graph_def.node
                  if node.op == "Const" and node.attr["value"].ByteSize() > TABLE.size / 2.1]
        assert len(stored) == 1


def test_small_weights_stay() -> None:
    """What is hardly worth it is left exactly as it is, and a graph of such weights is refused."""
    graph = graph_from(lambda x: tf.matmul(x, SMALL), None, 128)
    for rewrite, _ in REWRITES.values():
        with pytest.raises(ValueError, match="worth fewer bits"):
            rewrite(graph)


def test_other_constants_stay() -> None:
    """A large constant that is no weight of a product, such as a mask, is not rounded."""
    mask = GENERATOR.normal(0, 1, (128, 128)).astype(np.float32)
    graph = graph_from(lambda x: tf.matmul(tf.matmul(x, DENSE), DENSE, transpose_b=True)[:, None] + mask, None, 128)
    kept = [node for node in four_bit_weights(graph).graph_def.node
            if node.op == "Const" and node.attr["dtype"].type == tf.float32.as_datatype_enum
            and node.attr["value"].ByteSize() > mask.nbytes]
    assert len(kept) == 1


def test_hard_weights_get_eight_bits() -> None:
    """Where four bits would change too much, as with a far weight at both ends of each group, eight are used."""
    hard = GENERATOR.uniform(-0.07, 0.07, (128, 64)).astype(np.float32)
    hard[::64], hard[1::64] = 1, -1
    graph = graph_from(lambda x: tf.matmul(x, hard), None, 128)
    kinds = {node.attr["dtype"].type for node in four_bit_weights(graph).graph_def.node
             if node.op == "Const" and node.attr["value"].ByteSize() > 2000}
    assert kinds == {tf.int8.as_datatype_enum}
