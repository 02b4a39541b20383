"""Golden vectors survive JSON, and comparison forgives rounding and nothing else."""

from __future__ import annotations

import json

import numpy as np
import pytest

from serving.export.golden import MAX_STORED_VALUES, certain_positions, compare, decode, differences, encode
from serving.export.samples import strings

TOLERANCE = {"absolute": 1e-5, "relative": 1e-3}


@pytest.mark.parametrize("array", [
    np.float32([[1.5, -0.0, 3e-38]]), np.int32([[1, -2]]), np.zeros((0, 4), np.float32), np.arange(3, dtype=np.int64),
    strings([b"", b"\x00\xff\x00", "ä".encode()]), strings([]), np.array(True),
], ids=str)
def test_json_round_trip_is_exact(array: np.ndarray) -> None:
    """Numbers keep their bits, bytes their zeros, and empty arrays their shape."""
    back = decode(json.loads(json.dumps(encode(array))))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    assert back.shape == array.shape


def test_long_outputs_are_sampled() -> None:
    """A long output is kept as evenly spaced values, and compared at just those."""
    array = np.arange(100_000, dtype=np.float32).reshape(10, 10_000)
    data = encode(array, sample=True)
    assert decode(data).size <= MAX_STORED_VALUES
    vector = {"outputs": {"features": data}}
    assert list(differences(vector, {"features": array}, TOLERANCE)) == []
    assert list(differences(vector, {"features": array * 1.1}, TOLERANCE))
    assert "shape" in next(differences(vector, {"features": array[:9]}, TOLERANCE))


@pytest.mark.parametrize(("actual", "agrees"), [
    (np.float32([1.0, 10.0]), True), (np.float32([1.009, 10.0]), True), (np.float32([1.02, 10.0]), False),
    (np.float32([np.nan, 10.0]), False), (np.float32([1.0, np.inf]), False),
])
def test_numbers_may_differ_by_rounding(actual: np.ndarray, agrees: bool) -> None:
    """The tolerance is relative to the largest value; NaN never agrees."""
    assert (compare("values", np.float32([1.0, 10.0]), actual, TOLERANCE) is None) is agrees


def test_labels_count_only_where_they_are_certain() -> None:
    """Two nearly equal classes may change places, a clear winner may not."""
    probabilities = np.float32([[0.6, 0.2, 0.2000001]])
    certain = certain_positions(probabilities, np.int32([[0, 2, 1]]), TOLERANCE)
    assert certain == [[0]]
    expected = strings([b"a", b"c", b"b"]).reshape(1, 3)
    assert compare("labels", expected, strings([b"a", b"b", b"c"]).reshape(1, 3), TOLERANCE, certain) is None
    line = compare("labels", expected, strings([b"b", b"a", b"c"]).reshape(1, 3), TOLERANCE, certain)
    assert line is not None
    assert "expected b'a', received b'b'" in line


def test_outputs_must_have_the_same_names() -> None:
    """A missing or additional output is a difference."""
    vector = {"outputs": {"values": encode(np.float32([1]))}}
    assert "expected the outputs ['values']" in next(differences(vector, {"other": np.float32([1])}, TOLERANCE))


def test_empty_answers_agree() -> None:
    """Nothing equals nothing."""
    assert compare("values", np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32), TOLERANCE) is None
