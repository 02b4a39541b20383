from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import ArgumentError
from zoo.layers.position_embedding import PositionEmbedding

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")


@pytest.mark.parametrize("offset", [0, 2])
def test_each_step_gets_the_vector_of_its_position(offset: int) -> None:
    """Rows of the table are added from the offset on."""
    layer = PositionEmbedding(6, offset=offset)
    found = layer(X)
    np.testing.assert_allclose(found, X + layer.embeddings.numpy()[None, offset:offset + 3], rtol=1e-6)
    assert [weight.path.split("/")[-1] for weight in layer.weights] == ["embeddings"]


def test_more_steps_than_positions_are_refused() -> None:
    """In words where the length is known, and with an error of TensorFlow where a graph meets it."""
    layer = PositionEmbedding(4, offset=2)
    with pytest.raises(ArgumentError, match="reads up to 2 tokens and 3 came"):
        layer(X)
    graph = tf.function(layer, input_signature=[tf.TensorSpec([None, None, 4])])
    assert graph(X[:, :2]).shape == (2, 2, 4)
    with pytest.raises(tf.errors.InvalidArgumentError):
        graph(X)


def test_the_configuration_builds_an_equal_layer() -> None:
    """All arguments come back; an offset behind the table is refused."""
    layer = PositionEmbedding(6, offset=1, stddev=0.5, name="p")
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.get_config() == layer.get_config() and again.offset == 1
    with pytest.raises(ArgumentError, match=r"`position_offset` must be below `max_positions` \(6\). Received: 6"):
        PositionEmbedding(6, offset=6)
