from __future__ import annotations

import keras
import numpy as np
import pytest

from zoo.layers.token_logits import TokenLogits

X = np.random.default_rng(0).normal(size=(2, 3, 5)).astype("float32")


@pytest.mark.parametrize("use_bias", [True, False])
def test_a_bias_is_added_or_nothing(use_bias: bool) -> None:
    """With a bias there is one number per token, without one no parameter; both come back from a configuration."""
    layer = TokenLogits(use_bias=use_bias)
    layer.build(X.shape)
    for weight in layer.weights:
        weight.assign(np.arange(5.0))
    np.testing.assert_allclose(layer(X), X + (np.arange(5.0) if use_bias else 0), rtol=1e-6)
    assert len(layer.weights) == use_bias
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.use_bias is use_bias


def test_scores_leave_in_the_layer_s_own_precision() -> None:
    """16-bit products become float32 numbers."""
    assert TokenLogits(use_bias=False, dtype="float32")(keras.ops.cast(X, "bfloat16")).dtype == "float32"
