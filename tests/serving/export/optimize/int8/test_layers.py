"""What belongs to a convolution is found, and nothing that others need."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from serving.export.optimize.int8.layers import Layer, layers_of
from tests.serving.export.optimize.int8 import graphs
from tests.serving.export.optimize.int8.graphs import CHANNELS, conv, graph


def found(build: Any) -> tuple[Layer, ...]:
    return layers_of(graph(build))


def test_bias_sum_and_activation_belong_to_it() -> None:
    """In the order in which they are computed; one sum is taken in by one convolution."""
    layers = found(graphs.bottleneck)
    assert len(layers) == 6
    assert [bool(layer.summand) for layer in layers] == [False, False, False, False, False, True] or \
        sum(bool(layer.summand) for layer in layers) == 2
    ends = [layer.end for layer in layers]
    assert len(set(ends)) == 6
    assert sum(layer.activation == "Relu" for layer in layers) == 5
    assert all(layer.bias.any() for layer in layers)
    assert {layer.summand for layer in layers if layer.summand} <= set(ends)


def test_what_others_read_ends_a_layer() -> None:
    """A bias that is read before the activation, and a sum that has another shape, stay outside."""
    def build(x: Any) -> Any:
        early = conv(x, 1, name="early")
        pooled = tf.reduce_mean(conv(x, 2, name="late"), [1, 2], keepdims=True)
        return tf.nn.relu(early) + tf.tanh(early) + (conv(x, 3, name="broadcast") + pooled)

    layers = {layer.end: layer for layer in found(build)}
    assert set(layers) == {"early", "late", "broadcast"}
    assert not any(layer.activation or layer.summand for layer in layers.values())


def test_zeros_around_become_padding() -> None:
    """A padding of zeros is part of the convolution behind it; one of something else is not."""
    def build(x: Any) -> Any:
        zeros = conv(tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]]), 1, padding="VALID")
        return zeros + conv(tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], constant_values=1.0), 2, padding="VALID")

    first, second = found(build)
    assert (first.padding, first.pads, first.source) == ("EXPLICIT", (0, 0, 1, 2, 0, 1, 0, 0), "x")
    assert (second.padding, second.pads, second.source == "x") == ("VALID", (), False)
    assert (first.pads_with_zeros, second.pads_with_zeros) == (True, False)


def test_what_the_integer_kernels_do_not_do_is_left_out() -> None:
    """Convolutions in groups, with gaps, and with weights that are computed."""
    def build(x: Any) -> Any:
        kernel = tf.constant(np.ones((3, 3, CHANNELS // 2, CHANNELS), np.float32))
        whole = tf.constant(np.ones((3, 3, CHANNELS, CHANNELS), np.float32))
        return (tf.nn.conv2d(x, kernel, 1, "SAME") + tf.nn.conv2d(x, whole, 1, "SAME", dilations=2)
                + tf.nn.conv2d(x, whole * tf.reduce_mean(x), 1, "SAME"))

    assert found(build) == ()


def test_a_sum_over_a_tensor_in_use_is_one_over_a_copy() -> None:
    """Marked where the convolution itself, another sum or something behind the sum reads the tensor."""
    for build, copies in ((graphs.bottleneck, 0), (graphs.own_input, 1), (graphs.read_twice, 1), (graphs.long_way, 1)):
        assert sum(layer.copies for layer in found(build)) == copies, build.__name__
