from __future__ import annotations

import keras
import pytest

from zoo.errors import ArgumentError
from zoo.layers.dense_head import dense_head


@pytest.mark.parametrize(("policy", "expected"), [("float32", "float32"), ("mixed_bfloat16", "float32"),
                                                  ("bfloat16", "bfloat16")])
def test_heads_compute_in_the_dtype_of_their_parameters(policy: str, expected: str) -> None:
    """Under mixed precision the body computes in 16 bits and the predictions in 32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        features = keras.layers.Dense(3, name="body")(keras.Input((2,)))
        predictions = dense_head(features, 4, activation="softmax")
    finally:
        keras.config.set_dtype_policy(before)
    assert predictions.dtype == expected
    assert features.dtype == policy.removeprefix("mixed_")


def test_wrong_arguments_are_named() -> None:
    """The message names the argument that the user gave."""
    with pytest.raises(ArgumentError, match=r"`outputs` must be a whole number of at least 1. Received: 0"):
        dense_head(keras.Input((2,)), 0, units_name="outputs")
