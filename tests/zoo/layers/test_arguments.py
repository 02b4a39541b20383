from __future__ import annotations

from typing import Any

import pytest

from zoo.errors import ArgumentError
from zoo.layers.arguments import check_choice, check_count, check_rate, image_shape, series_shape, vector_width


def test_good_values_come_back() -> None:
    """A value in its range is returned as it is."""
    assert check_count("n", 3) == 3 and check_rate("r", 0) == 0.0 and check_choice("c", None, (None, 1)) is None
    assert image_shape(None, (8, 8, 3)) == (8, 8, 3) and image_shape([None, 9, 1], (8, 8, 3)) == (None, 9, 1)
    assert series_shape(None, 4) == (None, 4) and series_shape([5, 2], 4) == (5, 2)
    assert vector_width(None, 4) == 4 and vector_width([6], 4) == 6


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True, None])
def test_counts_are_whole_and_positive(value: Any) -> None:
    """Anything but a whole number from the minimum on is refused, and shown."""
    with pytest.raises(ArgumentError, match=r"`n` must be a whole number of at least 1. Received: "):
        check_count("n", value)


@pytest.mark.parametrize("value", [-0.1, 1.0, "0.5", True])
def test_rates_are_fractions(value: Any) -> None:
    """1 would drop everything, so it is refused too."""
    with pytest.raises(ArgumentError, match=r"fraction in \[0, 1\)"):
        check_rate("r", value)


@pytest.mark.parametrize(("shape", "message"), [
    ((8, 8), "must be \\(height, width, channels\\)"), ((8, 8, None), "must be \\(height, width, channels\\)"),
    ((7, 8, 3), "at least 8 pixels"), ((8.0, 8, 3), "at least 8 pixels"), ((None, 8, 3), "known height and width"),
])
def test_pictures_have_three_axes_and_a_smallest_size(shape: Any, message: str) -> None:
    """The message names the size that the model needs."""
    with pytest.raises(ArgumentError, match=message):
        image_shape(shape, (8, 8, 3), minimum=8, fixed=True)
