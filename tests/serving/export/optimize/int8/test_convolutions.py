"""Graphs in eight bits compute what they did, a little coarser, and stay in eight bits wherever they can."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.graph import ForwardGraph
from serving.export.optimize.int8.calibration import MIN_MAX, ranges
from serving.export.optimize.int8.convolutions import in_eight_bits, tensors_of
from serving.export.optimize.int8.layers import layers_of
from tests.serving.export.optimize.int8 import graphs
from tests.serving.export.optimize.int8.graphs import BUILDS, graph, kinds, rows

ROOT = Path(__file__).resolve().parents[5]
EIGHT_BITS = ("_FusedQuantizedConv2D", "_FusedQuantizedDepthwiseConv2D")


def quantized(original: ForwardGraph) -> ForwardGraph:
    layers = layers_of(original)
    return in_eight_bits(original, layers, ranges(original, tensors_of(layers), [rows(40)], MIN_MAX))


def noise(exact: Any, rough: Any) -> float:
    """The error's amplitude as a share of the signal's."""
    return float(np.sqrt(np.mean((exact - rough) ** 2) / np.mean((exact - exact.mean()) ** 2)))


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)
def test_the_numbers_stay(build: Callable[[Any], Any]) -> None:
    """Every convolution is integer, and the result is off by a few per cent at most, for any number of rows."""
    original = graph(build)
    made = quantized(original)
    convolutions = kinds(original)["Conv2D"] + kinds(original)["DepthwiseConv2dNative"]
    assert sum(kinds(made)[op] for op in EIGHT_BITS) == convolutions
    for count in (1, 4):
        given = rows(count, seed=count)
        exact, rough = original.run(given)[0], made.run(given)[0]
        assert rough.dtype == np.float32
        assert noise(exact, rough) < 0.09


@pytest.mark.parametrize(("build", "roundings", "ways_back"), [
    (graphs.plain, 1, 1), (graphs.bottleneck, 1, 1), (graphs.inverted, 1, 1), (graphs.own_input, 1, 1),
    (graphs.read_twice, 1, 1), (graphs.long_way, 1, 1), (graphs.pools_and_pads, 1, 1), (graphs.joined, 1, 2),
    (graphs.seen_outside, 1, 2), (graphs.signed_border, 3, 3), (graphs.islands, 3, 3)], ids=lambda value:
    getattr(value, "__name__", str(value)))
def test_as_few_ways_there_and_back_as_can_be(build: Callable[[Any], Any], roundings: int, ways_back: int) -> None:
    """Sums, poolings, pads and joined branches stay in eight bits between the first layer and the last."""
    found = kinds(quantized(graph(build)))
    assert (found["QuantizeV2"], found["Dequantize"]) == (roundings, ways_back)
    assert found["Relu"] + found["Relu6"] + found["BiasAdd"] == 0


@pytest.mark.parametrize(("build", "copies"), [(graphs.bottleneck, 0), (graphs.inverted, 0), (graphs.seen_outside, 0),
                                               (graphs.own_input, 1), (graphs.read_twice, 1), (graphs.long_way, 1)],
                         ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_sum_is_written_over_nothing_that_is_still_read(build: Callable[[Any], Any], copies: int) -> None:
    """A tensor is copied only where something may read it later; many runs at once always agree to the last bit."""
    made = quantized(graph(build))
    assert kinds(made)["DeepCopy"] == copies
    held = tf.Graph()
    with held.as_default():
        tf.graph_util.import_graph_def(made.graph_def, name="")
    config = tf.compat.v1.ConfigProto(inter_op_parallelism_threads=4)
    different: list[int] = []
    with tf.compat.v1.Session(graph=held, config=config) as session:
        def run() -> Any:
            return session.run(made.outputs[0], {"x:0": rows(2)["x"]})

        expected = run()

        def repeat() -> None:
            different.extend(1 for _ in range(25) if not np.array_equal(run(), expected))

        threads = [threading.Thread(target=repeat) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not different


def test_a_result_inside_can_be_an_output() -> None:
    """What is asked for in float32 comes in float32, under its name, while others read its eight bits."""
    held = tf.Graph()
    with held.as_default():
        x = tf.compat.v1.placeholder(tf.float32, (None, 9, 9, 8), name="x")
        first = tf.nn.relu(graphs.conv(x, 1))
        second = tf.nn.relu(first + graphs.conv(tf.nn.relu(graphs.conv(first, 2)), 3))
    original = ForwardGraph(held.as_graph_def(), {"x": "x"}, (second.name, first.name))
    made = quantized(original)
    for exact, rough in zip(original.run(rows(3)), made.run(rows(3)), strict=True):
        assert noise(exact, rough) < 0.05


_PROGRAM = """
import numpy as np, tensorflow as tf
from tests.serving.export.optimize.int8.test_convolutions import extreme
original, made, given = extreme()
exact, rough = original.run(given)[0], made.run(given)[0]
print("off", float(np.abs(exact - rough).max() / np.abs(exact).max()))
"""


def extreme() -> tuple[ForwardGraph, ForwardGraph, dict[str, Any]]:
    """Large neighbours everywhere: what 16 bits cannot add up."""
    def build(x: Any) -> Any:
        kernel = np.random.default_rng(0).uniform(0.9, 1, (3, 3, 8, 8)).astype(np.float32)
        return tf.nn.relu(tf.nn.conv2d(tf.nn.relu(x), kernel, 1, "SAME"))

    given = {"x": np.random.default_rng(1).uniform(0.9, 1, (2, 9, 9, 8)).astype(np.float32)}
    original = graph(build)
    layers = layers_of(original)
    return original, in_eight_bits(original, layers, ranges(original, tensors_of(layers), [given], MIN_MAX)), given


def test_old_processors_compute_the_same() -> None:
    """Without VNNI pairs of products are added in 16 bits; no pair is too large for them."""
    words = subprocess.run([sys.executable, "-c", _PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True,
                           env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}, timeout=120).stdout
    assert float(words.split("off")[1]) < 0.02
