from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from zoo.errors import ArgumentError
from zoo.layers.recurrent_stack import recurrent_stack

PLAIN: dict[str, Any] = {"cell": "gru", "units": 3, "layers": 1, "bidirectional": False, "pooling": None,
                         "dropout": 0.0, "l2": 0.0}


def stack(**options: Any) -> keras.Model:
    sequence = keras.Input((None, 2))
    return keras.Model(sequence, recurrent_stack(sequence, **(PLAIN | options)))


def test_the_last_state_is_the_last_output() -> None:
    """Without pooling the result is the output of the last step; pooling reduces the outputs of all."""
    x = np.random.default_rng(0).normal(size=(2, 4, 2)).astype("float32")
    plain, pooled = stack(), stack(pooling="max")
    pooled.set_weights(plain.get_weights())
    steps = np.stack([plain(x[:, :length]) for length in range(1, 5)], axis=1)  # [2, 4, 3]
    np.testing.assert_allclose(plain(x), steps[:, -1], atol=1e-6)
    np.testing.assert_allclose(pooled(x), steps.max(axis=1), atol=1e-6)


def test_penalties_are_on_all_kernels() -> None:
    """L2 counts the input and the recurrent kernel of every layer and direction."""
    assert len(stack(l2=0.1, layers=2, bidirectional=True).losses) == 2 * 2 * 2
    assert not stack().losses


def test_wrong_arguments_are_named() -> None:
    """Each argument is checked before a layer is made."""
    for name, value in {"cell": "LSTM", "units": 0, "layers": 0, "pooling": "last", "dropout": 1.0,
                        "l2": -0.1}.items():
        with pytest.raises(ArgumentError, match=f"`{name}` must be"):
            stack(**{name: value})
