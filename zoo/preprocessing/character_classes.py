"""Which characters are letters, numbers and white space: code points by general category."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def is_letter() -> NDArray[np.bool_]:
    """Returns bool [0x110000]: the code points of category L."""
    return _of_category("L")


def is_number() -> NDArray[np.bool_]:
    """Returns bool [0x110000]: the code points of category N."""
    return _of_category("N")


def is_white_space() -> tuple[int, ...]:
    """Returns the code points with the property White_Space."""
    return (*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)


def _of_category(first_letter: str) -> NDArray[np.bool_]:
    return np.fromiter((unicodedata.category(character)[0] == first_letter for character in _characters()), np.bool_)


def _characters() -> Iterator[str]:
    return map(chr, range(sys.maxunicode + 1))
