from __future__ import annotations

import math

import keras
import numpy as np
import pytest

from zoo.errors import ArgumentError
from zoo.layers.activation import ACTIVATIONS, activation_function

X = np.linspace(-4.0, 4.0, 33, dtype="float32")


def test_gelu_is_exact_and_gelu_tanh_the_approximation() -> None:
    """"gelu" is the error function's, "gelu_tanh" the hyperbolic tangent's; they are told apart."""
    exact = [0.5 * x * (1 + math.erf(x / math.sqrt(2))) for x in X.tolist()]
    tanh = [0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) for x in X.tolist()]
    np.testing.assert_allclose(activation_function("gelu")(X), exact, atol=1e-6)
    np.testing.assert_allclose(activation_function("gelu_tanh")(X), tanh, atol=1e-6)
    assert np.abs(np.subtract(exact, tanh)).max() > 3e-4


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_survives_a_configuration(name: str) -> None:
    """A dense layer with it is rebuilt from its configuration with the same function."""
    layer = keras.layers.Dense(3, activation=activation_function(name))
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    np.testing.assert_array_equal(again.activation(X), layer.activation(X))


def test_other_names_are_refused() -> None:
    """An unknown activation is named, with the known ones."""
    with pytest.raises(ArgumentError, match=r"`activation` must be one of 'gelu', 'gelu_tanh', 'relu'.* 'gelu_new'"):
        activation_function("gelu_new")
