"""What a caller may hand over as a tensor, made into one numpy array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from serving.errors import InvalidRequestError
from serving.protocol.dtypes import STRING


def as_array(value: ArrayLike, name: str = "value") -> np.ndarray[Any, Any]:
    """An array of numbers, or of bytes where the value holds text or bytes.

    Args:
        value: A numpy array, or (nested) lists of numbers, bools, text or bytes, or a single one of them.
        name: What to call the value in a message.

    Returns:
        The value's own array where it is one of numbers; strings come back with dtype object and elements of type
        bytes (text in UTF-8). Trailing zero bytes are kept, which numpy's own `S` dtype would cut off.

    Raises:
        InvalidRequestError: Rows of different lengths, text mixed with numbers, or elements of another type.
    """
    try:
        # Never through numpy's own text kinds: they cut zero bytes off and cannot mix text and bytes.
        array = np.asarray(value, dtype=object if isinstance(_first_leaf(value), str | bytes) else None)
        if array.dtype.kind in "SU" and not isinstance(value, np.ndarray):
            array = np.asarray(value, dtype=object)
    except ValueError as error:
        raise InvalidRequestError(
            f"{name!r} is not rectangular: {error}. All rows must have the same length; pad the shorter ones."
        ) from error
    return string_array(array, name) if array.dtype.kind in "SUO" else array


def string_array(array: np.ndarray[Any, Any], name: str = "value") -> np.ndarray[Any, Any]:
    """The same array with every element as bytes.

    Args:
        array: Array of any shape with elements of type str or bytes (dtype `S`, `U` or `object`).
        name: What to call the array in a message.

    Returns:
        Array of the same shape, dtype object, elements of type bytes.

    Raises:
        InvalidRequestError: An element is neither text nor bytes, or text that UTF-8 cannot write.
    """
    result = np.empty(array.shape, dtype=STRING)
    flat = result.reshape(-1)
    for index, element in enumerate(array.reshape(-1)):
        flat[index] = _as_bytes(element, name)
    return result


def _first_leaf(value: object) -> object:
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return value


def _as_bytes(element: object, name: str) -> bytes:
    if isinstance(element, bytes):
        return bytes(element)  # np.bytes_ becomes plain bytes
    if isinstance(element, str):
        try:
            return element.encode()
        except UnicodeEncodeError as error:
            raise InvalidRequestError(f"{name!r} holds text that UTF-8 cannot write: {error}. Send bytes.") from error
    raise InvalidRequestError(
        f"{name!r} holds an element of type {type(element).__name__} among text or objects; expected all str or bytes, "
        "or all numbers in lists of equal length."
    )
