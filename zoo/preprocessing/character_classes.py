"""Which characters are letters, numbers and white space: code points of Unicode 16, whatever Python knows."""

from __future__ import annotations

import sys
import unicodedata

import numpy as np
from numpy.typing import NDArray

# What Unicode 15, 15.1 and 16 added to the 14 of Python 3.11: first and last code point.
_NEW_LETTERS = (
    (0x1C89, 0x1C8A), (0xA7CB, 0xA7CD), (0xA7DA, 0xA7DC), (0x105C0, 0x105F3), (0x10D4A, 0x10D65), (0x10D6F, 0x10D85),
    (0x10EC2, 0x10EC4), (0x1123F, 0x11240), (0x11380, 0x11389), (0x1138B, 0x1138B), (0x1138E, 0x1138E),
    (0x11390, 0x113B5), (0x113B7, 0x113B7), (0x113D1, 0x113D1), (0x113D3, 0x113D3), (0x11BC0, 0x11BE0),
    (0x11F02, 0x11F02), (0x11F04, 0x11F10), (0x11F12, 0x11F33), (0x1342F, 0x1342F), (0x13441, 0x13446),
    (0x13460, 0x143FA), (0x16100, 0x1611D), (0x16D40, 0x16D6C), (0x18CFF, 0x18CFF), (0x1B132, 0x1B132),
    (0x1B155, 0x1B155), (0x1DF25, 0x1DF2A), (0x1E030, 0x1E06D), (0x1E4D0, 0x1E4EB), (0x1E5D0, 0x1E5ED),
    (0x1E5F0, 0x1E5F0), (0x2B739, 0x2B739), (0x2EBF0, 0x2EE5D), (0x31350, 0x323AF),
)
_NEW_NUMBERS = (
    (0x10D40, 0x10D49), (0x116D0, 0x116E3), (0x11BF0, 0x11BF9), (0x11F50, 0x11F59), (0x16130, 0x16139),
    (0x16D70, 0x16D79), (0x1CCF0, 0x1CCF9), (0x1D2C0, 0x1D2D3), (0x1E4F0, 0x1E4F9), (0x1E5F1, 0x1E5FA),
)


def is_letter() -> NDArray[np.bool_]:
    """Returns bool [0x110000]: the code points of category L."""
    return _of_category("L", _NEW_LETTERS)


def is_number() -> NDArray[np.bool_]:
    """Returns bool [0x110000]: the code points of category N."""
    return _of_category("N", _NEW_NUMBERS)


def is_white_space() -> tuple[int, ...]:
    """Returns the code points with the property White_Space."""
    return (*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F,
            0x3000)


def _of_category(first_letter: str, added: tuple[tuple[int, int], ...]) -> NDArray[np.bool_]:
    members = np.fromiter((unicodedata.category(character)[0] == first_letter
                           for character in map(chr, range(sys.maxunicode + 1))), np.bool_)
    for first, last in added:
        members[first:last + 1] = True
    return members
