"""Golden vectors: requests with the answers that the Keras model gave, as JSON, and how answers are compared.

One vector is {"signature", "inputs", "outputs", "certain", "ordered"}. Inputs and outputs are tensors by name, see
`encode`. "certain" says per row at which positions the order of the labels is no matter of rounding: two classes whose
scores lie within the tolerance may change places on another machine. "ordered" names the outputs that this is about;
where it is missing, they are labels, classes and indices.

This file needs numpy only, because the validating process reads it without keras.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# A longer output is kept as a sample of this many of its numbers.
MAX_STORED_VALUES = 16384
_ORDERED_OUTPUTS = ("labels", "classes", "indices")


def encode(array: Array, *, sample: bool = False) -> dict[str, Any]:
    """A tensor as JSON-ready data.

    Args:
        array: Numbers, or bytes objects in an array of dtype object.
        sample: Whether a long array may be kept as every step-th of its values.

    Returns:
        {"dtype": "string", "shape", "base64": [...]} or {"dtype", "shape", "zlib": base64 of the compressed
        little-endian memory} with "step" for a sample.
    """
    dtype = "string" if array.dtype == object else array.dtype.name
    data: dict[str, Any] = {"dtype": dtype, "shape": list(array.shape)}
    if array.dtype == object:
        return data | {"base64": [base64.b64encode(value).decode() for value in array.reshape(-1)]}
    step = -(-array.size // MAX_STORED_VALUES) if sample else 1
    if step > 1:
        data["step"] = step
    memory = np.ascontiguousarray(array.reshape(-1)[::max(step, 1)]).astype(array.dtype.newbyteorder("<")).tobytes()
    return data | {"zlib": base64.b64encode(zlib.compress(memory, 9)).decode()}


def decode(data: Mapping[str, Any]) -> Array:
    """Reads what `encode` wrote; a sample comes back flat, [values]."""
    if data["dtype"] == "string":
        values = np.empty(len(data["base64"]), object)
        values[:] = [base64.b64decode(text) for text in data["base64"]]
        return values.reshape(data["shape"])
    memory = zlib.decompress(base64.b64decode(data["zlib"]))
    flat: Array = np.frombuffer(memory, np.dtype(data["dtype"]).newbyteorder("<")).astype(data["dtype"])
    return flat if "step" in data else flat.reshape(data["shape"])


def certain_positions(probabilities: Array, order: Array, tolerance: Mapping[str, float]) -> list[list[int]]:
    """Where the order of the best classes is no matter of rounding.

    Args:
        probabilities: [N, C].
        order: [N, k], the classes in the order of the answer.
        tolerance: "absolute" and "relative" to the largest value.

    Returns:
        Per row the positions in 0..k-1 whose class differs from every other class by more than twice the tolerance.
    """
    width = 2 * (tolerance["absolute"] + tolerance["relative"] * float(np.max(np.abs(probabilities), initial=0.0)))
    rows = []
    for scores, classes in zip(probabilities, order, strict=True):
        ties = [int(np.sum(np.abs(scores - scores[index]) <= width)) for index in classes]
        rows.append([position for position, tied in enumerate(ties) if tied == 1])
    return rows


def differences(vector: Mapping[str, Any], outputs: Mapping[str, Array],
                tolerance: Mapping[str, float]) -> Iterator[str]:
    """Yields one line for each output that differs from a golden vector's.

    Args:
        vector: The golden vector.
        outputs: What was answered, by output name.
        tolerance: "absolute" and "relative" to the largest expected value.
    """
    if set(outputs) != set(vector["outputs"]):
        yield f"expected the outputs {sorted(vector['outputs'])}, received {sorted(outputs)}"
        return
    for name, data in vector["outputs"].items():
        actual = outputs[name]
        if list(actual.shape) != data["shape"]:
            yield f"{name}: expected shape {data['shape']}, received {list(actual.shape)}"
            continue
        expected = decode(data)
        if "step" in data:
            actual = actual.reshape(-1)[::data["step"]]
        line = compare(name, expected, actual, tolerance, certain_of(vector, name))
        if line:
            yield line


def certain_of(vector: Mapping[str, Any], name: str) -> list[list[int]] | None:
    """The positions of a golden vector's output that count, see `compare`."""
    certain: list[list[int]] | None = vector.get("certain")
    return certain if name in vector.get("ordered", _ORDERED_OUTPUTS) else None


def compare(name: str, expected: Array, actual: Array, tolerance: Mapping[str, float],
            certain: list[list[int]] | None = None) -> str | None:
    """One line on how two arrays of the same shape differ, or None if they agree.

    Args:
        name: The output's name.
        expected: What should be.
        actual: What is.
        tolerance: "absolute" and "relative" to the largest expected value.
        certain: Per row the positions that count, over all other axes in their order; None = all.
    """
    if certain is not None:
        counts = np.zeros((len(expected), expected[:1].size), bool)
        for row, positions in enumerate(certain):
            counts[row, positions] = True
        return _first_wrong(name, (expected != actual) & counts.reshape(expected.shape), expected, actual)
    if expected.dtype == object or not np.issubdtype(expected.dtype, np.floating):
        return _first_wrong(name, np.asarray(expected != actual), expected, actual)
    allowed = tolerance["absolute"] + tolerance["relative"] * float(np.max(np.abs(expected), initial=0.0))
    distance = np.abs(np.asarray(actual, np.float64) - np.asarray(expected, np.float64))
    if distance.size == 0 or float(distance.max()) <= allowed:  # a NaN is never <=
        return None
    return f"{name}: differs by up to {float(distance.max()):.3g}, allowed is {allowed:.3g}"


def _first_wrong(name: str, wrong: Array, expected: Array, actual: Array) -> str | None:
    places = np.argwhere(wrong)
    if not len(places):
        return None
    first = tuple(places[0].tolist())
    return (f"{name}: {len(places)} values differ, first at {list(first)}: expected {expected[first]!r}, "
            f"received {actual[first]!r}")
