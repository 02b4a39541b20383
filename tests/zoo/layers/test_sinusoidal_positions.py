from __future__ import annotations

import numpy as np
import pytest

from zoo.errors import ArgumentError
from zoo.layers.sinusoidal_positions import SinusoidalPositions


@pytest.mark.parametrize("width", [6, 5])
def test_the_signal_is_that_of_the_paper(width: int) -> None:
    """PE(p, 2i) = sin(p / 10000^(2i/d)) and PE(p, 2i + 1) = cos(p / 10000^(2i/d))."""
    signal = np.asarray(SinusoidalPositions()(np.zeros((1, 9, width), "float32")))[0]
    expected = np.array([[(np.sin, np.cos)[column % 2](step / 10000 ** (2 * (column // 2) / width))
                          for column in range(width)] for step in range(9)])
    np.testing.assert_allclose(signal, expected, atol=1e-5)


def test_it_is_added_and_has_no_parameters() -> None:
    """The layer adds the signal to its input, for any number of steps."""
    layer = SinusoidalPositions(longest=100.0)
    x = np.random.default_rng(0).normal(size=(2, 4, 8)).astype("float32")
    np.testing.assert_allclose(layer(x) - x, np.broadcast_to(layer(np.zeros_like(x))[0], x.shape), atol=1e-5)
    assert layer.count_params() == 0
    assert SinusoidalPositions.from_config(layer.get_config()).longest == 100.0
    with pytest.raises(ArgumentError, match="`longest` must be larger than 1"):
        SinusoidalPositions(longest=1.0)
