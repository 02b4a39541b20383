"""The last layer of a model, "predictions", which stays precise under mixed precision."""

from __future__ import annotations

from typing import Any

import keras

from zoo.layers.arguments import check_count, l2_penalty

NAME = "predictions"


def head_dtype() -> str:
    """Returns the dtype that heads compute in: that of the parameters, so float32 under "mixed_bfloat16".

    Probabilities in 16 bits lose the small ones.
    """
    return str(keras.config.dtype_policy().variable_dtype)


def dense_head(x: Any, units: int, *, activation: str | None = None, l2: float = 0.0,
               units_name: str = "num_classes") -> Any:
    """Adds the dense layer "predictions".

    Args:
        x: Symbolic float [N, ..., features].
        units: Number of classes or of values.
        activation: Keras name of the activation; None gives values or logits.
        l2: Penalty on the squares of the kernel.
        units_name: Name of the argument that `units` came from, for the message.

    Returns:
        Symbolic [N, ..., units] of the parameters' dtype.

    Raises:
        ArgumentError: `units` below 1 or a negative penalty.
    """
    return keras.layers.Dense(check_count(units_name, units), activation=activation, kernel_regularizer=l2_penalty(l2),
                              dtype=head_dtype(), name=NAME)(x)
