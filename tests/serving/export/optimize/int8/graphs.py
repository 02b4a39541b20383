"""Small graphs of convolutions in every neighbourhood that eight bits have to get right; no zero anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving.export.optimize.graph import ForwardGraph
from tests.serving.export.optimize.networks import graph_from

SIZE, CHANNELS = 9, 8


def conv(x: Any, seed: int, *, channels: int = CHANNELS, size: int = 3, stride: int = 1, padding: Any = "SAME",
         name: str | None = None) -> Any:
    """A convolution with a bias."""
    generator = np.random.default_rng(seed)
    kernel = generator.normal(0, 1 / size, (size, size, x.shape[-1], channels)).astype(np.float32)
    return tf.nn.bias_add(tf.nn.conv2d(x, kernel, stride, padding), generator.normal(0, 1, channels).astype(np.float32),
                          name=name)


def depthwise(x: Any, seed: int, *, stride: int = 1, padding: str = "SAME") -> Any:
    """A convolution of each channel by itself, with a bias."""
    generator = np.random.default_rng(seed)
    kernel = generator.normal(0, 1, (3, 3, x.shape[-1], 1)).astype(np.float32)
    mixed = tf.nn.depthwise_conv2d(x, kernel, [1, stride, stride, 1], padding)
    return tf.nn.bias_add(mixed, generator.normal(0, 1, x.shape[-1]).astype(np.float32))


def plain(x: Any) -> Any:
    return tf.nn.relu(conv(tf.nn.relu(conv(x, 1)), 2, stride=2))


def bottleneck(x: Any) -> Any:
    """As in ResNet: a projected shortcut, then the block's own input as one."""
    x = tf.nn.relu(conv(x, 1))
    x = tf.nn.relu(conv(tf.nn.relu(conv(x, 2, size=1)), 3) + conv(x, 4, size=1))
    return tf.nn.relu(x + conv(tf.nn.relu(conv(x, 5)), 6))


def inverted(x: Any) -> Any:
    """As in MobileNet: ReLU6, depthwise, and sums of both signs."""
    x = conv(x, 1, size=1)
    for seed in (10, 20):
        wide = tf.nn.relu6(conv(x, seed, channels=16, size=1))
        x = x + conv(tf.nn.relu6(depthwise(wide, seed + 1)), seed + 2, size=1)
    return tf.nn.relu(conv(x, 3, size=1))


def own_input(x: Any) -> Any:
    """A sum with what the convolution itself reads."""
    x = tf.nn.relu(conv(x, 1))
    return tf.nn.relu(x + conv(x, 2))


def read_twice(x: Any) -> Any:
    """Two sums over one tensor, of which one is no further away than the other."""
    x = tf.nn.relu(conv(x, 1))
    first = tf.nn.relu(x + conv(tf.nn.relu(conv(x, 2)), 3))
    second = tf.nn.relu(x + conv(tf.nn.relu(conv(x, 4)), 5))
    return tf.nn.relu(conv(tf.concat([first, second], -1), 6))


def long_way(x: Any) -> Any:
    """A tensor that a sum is written over, and that something far behind the sum reads."""
    x = tf.nn.relu(conv(x, 1))
    y = tf.nn.relu(x + conv(tf.nn.relu(conv(x, 2)), 3))
    return tf.nn.relu(conv(tf.concat([tf.nn.relu(conv(y, 4)), x], -1), 5))


def seen_outside(x: Any) -> Any:
    """A tensor that a sum is written over is read in float32 as well."""
    x = tf.nn.relu(conv(x, 1))
    y = tf.nn.relu(x + conv(tf.nn.relu(conv(x, 2)), 3))
    return tf.reduce_mean(y, [1, 2]) * tf.reduce_mean(tf.tanh(x), [1, 2])


def signed_border(x: Any) -> Any:
    """A padding convolution reads a sum of both signs, whose zero is no zero."""
    x = conv(x, 1)
    x = x + conv(tf.nn.relu(conv(x, 2)), 3)
    return tf.nn.relu(conv(x, 4))


def pools_and_pads(x: Any) -> Any:
    x = tf.nn.relu(conv(x, 1))
    x = tf.nn.max_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID")
    x = tf.nn.relu(depthwise(tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]]), 2, stride=2, padding="VALID"))
    x = tf.nn.avg_pool2d(tf.nn.relu(conv(x, 3, padding=[[0, 0], [1, 2], [2, 1], [0, 0]])), 2, 1, "SAME")
    return conv(x, 4)


def joined(x: Any) -> Any:
    """As in Inception: branches joined, one of them a pooling."""
    x = tf.nn.relu(conv(x, 1))
    parts = [tf.nn.relu(conv(x, 2, size=1)), tf.nn.relu(conv(x, 3)) * 1.0, tf.nn.max_pool2d(x, 3, 1, "SAME")]
    return tf.nn.relu(conv(tf.concat([parts[0], parts[2]], -1), 4)) + parts[1]


def islands(x: Any) -> Any:
    """Between convolutions stands what no integer kernel takes in."""
    x = conv(x, 1)
    x = conv(x * tf.sigmoid(x), 2)
    return conv(tf.nn.leaky_relu(x), 3)


BUILDS: Sequence[Callable[[Any], Any]] = (plain, bottleneck, inverted, own_input, read_twice, long_way, seen_outside,
                                          signed_border, pools_and_pads, joined, islands)


def graph(build: Callable[[Any], Any]) -> ForwardGraph:
    """A graph on one input "x" [None, 9, 9, 8]."""
    return graph_from(build, None, SIZE, SIZE, CHANNELS)


def rows(count: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Values of both signs, more of the one."""
    generator = np.random.default_rng(seed)
    return {"x": generator.normal(0.3, 1, (count, SIZE, SIZE, CHANNELS)).astype(np.float32)}


def kinds(made: ForwardGraph) -> Counter[str]:
    """How many nodes of each operation a graph has."""
    return Counter(str(node.op) for node in made.graph_def.node)
