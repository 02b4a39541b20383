from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import ArgumentError
from zoo.layers.self_attention import SelfAttention, attention_bias

WIDTH, HEADS = 12, 3
MASK = np.array([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]], "int32")
X = np.random.default_rng(0).normal(size=(2, 5, WIDTH)).astype("float32")


def made(**options: Any) -> SelfAttention:
    layer = SelfAttention(HEADS, **options)
    layer.build(X.shape)
    generator = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(generator.normal(0, 0.4, weight.shape))
    return layer


def keras_attention(layer: SelfAttention) -> keras.layers.MultiHeadAttention:
    """Keras's own attention with the same parameters."""
    size = WIDTH // HEADS
    other = keras.layers.MultiHeadAttention(HEADS, size)
    other.build(X.shape, X.shape)
    kernels = [np.reshape(part, (WIDTH, HEADS, size)) for part in np.split(layer.qkv.kernel.numpy(), 3, axis=1)]
    biases = [np.reshape(part, (HEADS, size)) for part in np.split(layer.qkv.bias.numpy(), 3)]
    query, key, value = zip(kernels, biases, strict=True)
    output = (np.reshape(layer.projection.kernel.numpy(), (HEADS, size, WIDTH)), layer.projection.bias.numpy())
    other.set_weights([*query, *key, *value, *output])
    return other


@pytest.mark.parametrize("causal", [False, True])
def test_it_computes_what_keras_does(causal: bool) -> None:
    """The fused product gives Keras's own attention, with padding and causality."""
    layer = made(causal=causal)
    expected = keras_attention(layer)(X, X, attention_mask=MASK[:, None, :].astype(bool), use_causal_mask=causal)
    found = layer(X, padding_mask=MASK)
    for row, length in enumerate(MASK.sum(axis=1)):
        np.testing.assert_allclose(found[row, :length], expected[row, :length], atol=1e-5)


def test_without_a_mask_all_is_seen() -> None:
    """No mask is a mask of ones."""
    layer = made()
    np.testing.assert_allclose(layer(X), layer(X, padding_mask=np.ones_like(MASK)), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_rows_of_nothing_are_finite(dtype: str) -> None:
    """A row that is all padding gives numbers under every policy."""
    layer = SelfAttention(HEADS, causal=True, dtype=dtype)
    assert np.isfinite(np.asarray(keras.ops.cast(layer(X, padding_mask=np.zeros_like(MASK)), "float32"))).all()


def test_the_bias_hides_what_must_not_be_seen() -> None:
    """It is 0 where a step may be seen and far below everything else elsewhere; None where nothing is hidden."""
    assert attention_bias(None, 5, causal=False) is None
    padding = np.asarray(attention_bias(MASK, 5, causal=False))
    assert padding.shape == (2, 1, 1, 5) and padding.dtype == np.float32
    np.testing.assert_array_equal(padding[:, 0, 0] == 0, MASK == 1)
    both = np.asarray(attention_bias(MASK, 5, causal=True))
    np.testing.assert_array_equal(both[:, 0] == 0, np.tril(np.ones((5, 5), bool))[None] & (MASK[:, None, :] == 1))
    assert both[both != 0].max() <= -1e9


def test_the_graph_has_products_of_matrices_alone() -> None:
    """Dense layers become MatMul with a bias behind them, which TensorFlow joins; nothing is left to einsum."""
    layer = made()
    graph = tf.function(lambda x: layer(x)).get_concrete_function(tf.TensorSpec([None, None, WIDTH])).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert kinds.count("MatMul") == 2 and kinds.count("BatchMatMulV2") == 2 and "Einsum" not in kinds
    for operation in graph.get_operations():
        if operation.type == "MatMul":
            assert [user.type for user in operation.outputs[0].consumers()] == ["BiasAdd"]


def test_dropout_is_for_training() -> None:
    """Weights are dropped in training alone."""
    layer = made(dropout=0.5)
    assert not np.allclose(layer(X, training=True), layer(X, training=True))
    np.testing.assert_array_equal(layer(X), layer(X))


def test_the_configuration_builds_an_equal_layer() -> None:
    """All arguments come back; a width that the heads do not divide is refused."""
    options = {"causal": True, "dropout": 0.1, "kernel_stddev": 0.3, "output_stddev": 0.2, "name": "a"}
    layer = SelfAttention(HEADS, **options)  # type: ignore[arg-type]
    assert SelfAttention.from_config(layer.get_config()).get_config() == layer.get_config()
    assert {key: layer.get_config()[key] for key in options} == options
    with pytest.raises(ArgumentError, match=r"multiple of `heads`. Received: width=13, heads=3"):
        SelfAttention(HEADS)(np.zeros((1, 2, 13), "float32"))
