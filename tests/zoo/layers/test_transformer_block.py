from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from zoo.errors import ArgumentError
from zoo.layers.transformer_block import TransformerBlock

X = np.random.default_rng(0).normal(size=(2, 5, 12)).astype("float32")


def made(**options: Any) -> TransformerBlock:
    block = TransformerBlock(3, 20, **options)
    block.build(X.shape)
    generator = np.random.default_rng(1)
    for weight in block.weights:
        weight.assign(generator.normal(0, 0.3, weight.shape))
    return block


@pytest.mark.parametrize("normalisation", ["post", "pre"])
def test_its_parts_are_put_together_in_the_order_of_the_papers(normalisation: str) -> None:
    """BERT normalises each residual sum, GPT-2 the input of each part."""
    block = made(normalisation=normalisation, activation="gelu_tanh", epsilon=1e-3)

    def feed_forward(x: Any) -> Any:
        return block.projection(block.intermediate(x))

    if normalisation == "post":
        middle = block.attention_norm(X + block.attention(X))
        expected = block.output_norm(middle + feed_forward(middle))
    else:
        middle = X + block.attention(block.attention_norm(X))
        expected = middle + feed_forward(block.output_norm(middle))
    np.testing.assert_allclose(block(X), expected, atol=1e-5)
    assert block.attention_norm.epsilon == block.output_norm.epsilon == 1e-3


def test_dropout_stands_before_each_sum() -> None:
    """Training drops something, inference nothing; a block without dropout is the same in both."""
    block = made(dropout=0.5)
    assert not np.allclose(block(X, training=True), block(X, training=True))
    np.testing.assert_array_equal(block(X), made()(X, training=True))


def test_the_configuration_builds_an_equal_layer() -> None:
    """All arguments come back; a foreign normalisation is refused."""
    options = {"normalisation": "pre", "causal": True, "activation": "relu", "epsilon": 1e-4, "dropout": 0.1,
               "attention_dropout": 0.2, "kernel_stddev": None, "residual_stddev": 0.1, "name": "b"}
    block = TransformerBlock(3, 20, **options)  # type: ignore[arg-type]
    again = keras.layers.deserialize(keras.layers.serialize(block))
    assert again.get_config() == block.get_config()
    assert {key: block.get_config()[key] for key in options} == options
    with pytest.raises(ArgumentError, match=r"`normalisation` must be one of 'post', 'pre'. Received: 'both'"):
        TransformerBlock(3, 20, normalisation="both")
