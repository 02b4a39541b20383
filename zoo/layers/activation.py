"""Activations by the names that checkpoints of language models give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from zoo.layers.arguments import check_choice

ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "silu", "tanh", "linear")


def activation_function(name: str) -> Callable[[Any], Any]:
    """Returns an activation.

    Args:
        name: "gelu" is the exact one (error function), "gelu_tanh" its approximation through the hyperbolic tangent;
            the two differ by up to 5e-4, which shows after some layers. Others: "relu", "silu", "tanh", "linear".

    Returns:
        A function from a float tensor to one of the same shape and dtype.

    Raises:
        ArgumentError: Another name.
    """
    check_choice("activation", name, ACTIVATIONS)
    if name == "gelu_tanh":
        approximate: Callable[[Any], Any] = gelu_tanh
        return approximate
    found: Callable[[Any], Any] = keras.activations.get(name)
    return found


@keras.saving.register_keras_serializable(package="zoo")  # type: ignore[untyped-decorator]  # Keras has no types
def gelu_tanh(x: Any) -> Any:
    """Returns the approximation of GELU through the hyperbolic tangent, same shape and dtype as `x`."""
    return keras.activations.gelu(x, approximate=True)
