"""Zeros around a picture become the convolution's own padding, and only zeros, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.passes.pads import merge_pads
from tests.serving.export.optimize.networks import graph_from

GENERATOR = np.random.Generator(np.random.PCG64(2))
WEIGHTS = GENERATOR.normal(0, 1, (3, 3, 4, 8)).astype(np.float32)
DEEP = GENERATOR.normal(0, 1, (3, 3, 4, 1)).astype(np.float32)
AROUND = [[0, 0], [2, 1], [0, 3], [0, 0]]


def convolved(x: Any, padding: str = "VALID") -> Any:
    return tf.nn.relu(tf.nn.conv2d(x, WEIGHTS, 2, padding))


CASES: dict[str, tuple[Any, bool]] = {
    "zeros": (lambda x: convolved(tf.pad(x, AROUND)), True),
    "written zeros": (lambda x: convolved(tf.pad(x, AROUND, constant_values=0.0)), True),
    "ones": (lambda x: convolved(tf.pad(x, AROUND, constant_values=1.0)), False),
    "mirrored": (lambda x: convolved(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT")), False),
    "padded again": (lambda x: convolved(tf.pad(x, AROUND), "SAME"), False),
    "depthwise": (lambda x: tf.nn.depthwise_conv2d(tf.pad(x, AROUND), DEEP, [1, 1, 1, 1], "VALID"), False),
}


@pytest.mark.parametrize("name", list(CASES))
def test_pads_before_convolutions(name: str) -> None:
    """What is computed stays the same; the Pad is gone where it can be."""
    build, merged = CASES[name]
    graph = graph_from(build, None, 7, 8, 4)
    result = merge_pads(graph)
    assert any("Pad" in node.op for node in result.graph_def.node) is not merged
    for count in (1, 3):
        rows = {"x": GENERATOR.normal(0, 1, (count, 7, 8, 4)).astype(np.float32)}
        np.testing.assert_allclose(result.run(rows)[0], graph.run(rows)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 3])
def test_rows_and_channels_of_zeros_stay(axis: int) -> None:
    """More rows or channels are no padding of a picture."""
    widths = np.zeros((4, 2), np.int32)
    widths[axis, 1] = 1
    graph = graph_from(lambda x: convolved(tf.pad(x, widths)), None, 7, 8, 4 - widths[3, 1])
    assert "Pad" in {node.op for node in merge_pads(graph).graph_def.node}


def test_a_pad_with_two_readers_serves_both() -> None:
    """The other reader still gets the padded picture."""
    def build(x: Any) -> Any:
        padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
        return tf.reduce_sum(convolved(padded), [1, 2]) + tf.reduce_max(padded)

    graph = graph_from(build, None, 7, 8, 4)
    rows = {"x": GENERATOR.normal(0, 1, (2, 7, 8, 4)).astype(np.float32)}
    np.testing.assert_allclose(merge_pads(graph).run(rows)[0], graph.run(rows)[0], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("size", "kernel", "around", "merged"), [
    ((8, 6), 3, ((0, 1), (0, 1)), True), ((7, 6), 3, ((1, 1), (0, 1)), True), ((8, 6), 5, ((1, 2), (1, 2)), True),
    ((8, 6), 3, ((1, 0), (0, 1)), False), ((8, 6), 3, ((1, 1), (1, 1)), False), ((None, 6), 3, ((0, 1), (0, 1)), False),
], ids=str)
def test_pads_before_depthwise_convolutions(size: tuple[int | None, int], kernel: int,
                                            around: tuple[tuple[int, int], ...], merged: bool) -> None:
    """Where a stride of 2 is padded as "SAME" does it, the Pad is gone; anything else stays."""
    weights = GENERATOR.normal(0, 1, (kernel, kernel, 4, 1)).astype(np.float32)
    graph = graph_from(lambda x: tf.nn.relu(tf.nn.depthwise_conv2d(tf.pad(x, [(0, 0), *around, (0, 0)]), weights,
                                                                   [1, 2, 2, 1], "VALID")), None, *size, 4)
    result = merge_pads(graph)
    assert any("Pad" in node.op for node in result.graph_def.node) is not merged
    rows = {"x": GENERATOR.normal(0, 1, (2, size[0] or 8, size[1], 4)).astype(np.float32)}
    np.testing.assert_allclose(result.run(rows)[0], graph.run(rows)[0], rtol=1e-5, atol=1e-5)
