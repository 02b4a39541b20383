"""Small networks with what the passes look for, and weights that make every mistake show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving.export.optimize.graph import ForwardGraph
from tests.serving.export.small_models import DIGITS, with_record
from zoo.spec import ImagePreprocessing

layers = keras.layers


def residual_network() -> Any:
    """Padded, strided, depthwise and residual convolutions, each with batch normalisation, with a bias or none."""
    image = keras.Input((12, 12, 3), name="image")
    x = layers.ZeroPadding2D(((2, 1), (1, 2)), name="pad")(image)
    x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="stem")(x)
    x = short_cut = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_norm")(x))
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.ReLU(6.0, name="depthwise_relu")(layers.BatchNormalization(name="depthwise_norm")(x))
    x = layers.Conv2D(8, 1, name="project")(x)
    x = layers.Add(name="add")([layers.BatchNormalization(name="project_norm")(x), short_cut])
    x = layers.GlobalAveragePooling2D(name="pool")(layers.ReLU(name="relu")(x))
    x = layers.BatchNormalization(name="hidden_norm")(layers.Dense(7, name="hidden")(x))
    x = layers.Dense(5, activation="softmax", name="predictions")(x)
    preprocessing = ImagePreprocessing(height=12, width=12, channels=3, scale=1 / 255)
    return with_record(keras.Model(image, x, name="residual"), "classification", preprocessing, "image", labels=DIGITS)


def dense_network() -> Any:
    """Batch normalisation in front of convolutions, whose results are also read elsewhere: little can be folded."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="stem")(image)
    for number in (1, 2):
        y = layers.ReLU(name=f"relu_{number}")(layers.BatchNormalization(name=f"norm_{number}")(x))
        y = layers.Conv2D(4, 3, padding="same", use_bias=False, name=f"conv_{number}")(y)
        x = layers.Concatenate(name=f"concat_{number}")([x, y])
    x = layers.Dense(5, activation="softmax", name="predictions")(layers.GlobalAveragePooling2D(name="pool")(x))
    return with_record(keras.Model(image, x, name="dense"), "classification",
                       ImagePreprocessing(height=8, width=8, channels=3, scale=1 / 255), "image", labels=DIGITS)


def graph_of(model: Any) -> ForwardGraph:
    """The model's own graph, its inputs under the names that the model gives them."""
    return ForwardGraph.of(model, {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs})


def rows_for(model: Any, count: int = 3) -> dict[str, NDArray[Any]]:
    """Random rows for each input."""
    generator = np.random.Generator(np.random.PCG64(3))
    return {tensor.name: generator.normal(0, 1, (count, *tensor.shape[1:])).astype(np.float32)
            for tensor in model.inputs}


def graph_from(build: Any, *shape: int | None) -> ForwardGraph:
    """A graph of hand-written operations on one input "x" [shape]."""
    graph = tf.Graph()
    with graph.as_default():
        tensor = build(tf.compat.v1.placeholder(tf.float32, shape, name="x"))
    return ForwardGraph(graph.as_graph_def(), {"x": "x"}, (tensor.name,))


def operations_in_a_session(graph: ForwardGraph, rows: Mapping[str, NDArray[Any]]) -> list[Any]:
    """The nodes that a session, and so a server, makes of a graph before it runs it."""
    held = tf.Graph()
    with held.as_default():
        tf.graph_util.import_graph_def(graph.graph_def, name="")
    options = tf.compat.v1.RunOptions(output_partition_graphs=True)
    told = tf.compat.v1.RunMetadata()
    with tf.compat.v1.Session(graph=held) as session:
        session.run(list(graph.outputs), {f"{graph.inputs[name]}:0": array for name, array in rows.items()}, options,
                    told)
    return [node for part in told.partition_graphs for node in part.node]
