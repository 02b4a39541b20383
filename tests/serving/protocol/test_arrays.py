"""What callers hand over, made into arrays."""

from __future__ import annotations

import numpy as np
import pytest

from serving.errors import InvalidRequestError
from serving.protocol.arrays import as_array


def test_numbers_stay_the_same_array() -> None:
    """An array of numbers is not copied."""
    array = np.zeros(3, np.float32)
    assert as_array(array) is array


@pytest.mark.parametrize(
    "value, expected",
    [
        ("größe", "größe".encode()),
        ([b"a\x00", "b"], [b"a\x00", b"b"]),
        ([["a"], [b"\xff"]], [[b"a"], [b"\xff"]]),
        (np.array(["a", "bc"]), [b"a", b"bc"]),
        (np.array([b"a", b"bc"]), [b"a", b"bc"]),
        ([np.str_("a"), np.bytes_(b"b")], [b"a", b"b"]),
    ],
)
def test_text_becomes_bytes(value: object, expected: object) -> None:
    """Text and bytes, alone or nested or in numpy's own kinds, become plain bytes; zero bytes stay."""
    array = as_array(value)
    assert array.dtype == object
    assert array.tolist() == expected
    assert all(type(element) is bytes for element in array.reshape(-1))


@pytest.mark.parametrize("value", [[[1], [1, 2]], [["a"], ["b", "c"]], ["a", 1], [1, "a"], [None], ["\ud800"], [{}]])
def test_what_is_no_tensor_is_refused(value: object) -> None:
    """Ragged rows, mixtures, other objects and half surrogates are named with the input they came for."""
    with pytest.raises(InvalidRequestError, match="'pixels'"):
        as_array(value, "pixels")
