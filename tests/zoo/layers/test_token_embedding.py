from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.layers.token_embedding import TokenEmbedding

IDS = np.array([[1, 4, 0], [2, 2, 3]], "int32")
STATES = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")


def test_one_table_goes_both_ways() -> None:
    """Ids become its rows, and vectors their products with all rows."""
    layer = TokenEmbedding(5, 4)
    table = layer(IDS) is not None and layer.embeddings.numpy()
    np.testing.assert_array_equal(layer(IDS), table[IDS])
    np.testing.assert_allclose(layer(STATES, reverse=True), STATES @ table.T, atol=1e-6)
    assert len(layer.weights) == 1


def test_quantised_it_goes_both_ways_too() -> None:
    """Keras's own int8 quantisation keeps both directions near."""
    layer = TokenEmbedding(5, 4)
    vectors, scores = (np.asarray(layer(IDS)), np.asarray(layer(STATES, reverse=True)))
    layer.quantize("int8")
    np.testing.assert_allclose(layer(IDS), vectors, atol=1e-3)
    np.testing.assert_allclose(layer(STATES, reverse=True), scores, atol=5e-3)


def test_ids_outside_the_vocabulary_are_an_error() -> None:
    """They are not answered with some other word's vector."""
    layer = TokenEmbedding(5, 4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="not in"):
        layer(np.array([[5]], "int32"))


def test_the_configuration_builds_an_equal_layer() -> None:
    """It is a registered layer of its own."""
    layer = TokenEmbedding(5, 4, name="token_embedding")
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert isinstance(again, TokenEmbedding) and again.get_config() == layer.get_config()
