"""GPT-2's alphabet, a visible character for every byte, and what a vocabulary written in it means."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import ArgumentError
from zoo.preprocessing_spec import BytePairPreprocessing

_VISIBLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))


@cache
def byte_characters() -> tuple[str, ...]:
    """Returns the character of each byte, 256 of them: itself where Latin-1 shows it, else U+0100 and up in order."""
    hidden = [byte for byte in range(256) if byte not in _VISIBLE]
    return tuple(chr(byte) if byte in _VISIBLE else chr(0x100 + hidden.index(byte)) for byte in range(256))


def token_bytes(vocabulary: Sequence[str]) -> list[bytes]:
    """Returns what each token spells; one with a character of no byte is a special token and spells itself."""
    byte_of = {character: byte for byte, character in enumerate(byte_characters())}
    return [bytes(byte_of[character] for character in token) if all(character in byte_of for character in token)
            else token.encode() for token in vocabulary]


def merge_tokens(spec: BytePairPreprocessing) -> tuple[NDArray[np.int32], Any, Any, Any]:
    """Finds the tokens that bytes and merges are about.

    Args:
        spec: The preprocessing.

    Returns:
        The token of each byte, int32 [256]; the first, the second and the new token of each merge, int32 [M].

    Raises:
        ArgumentError: The vocabulary lacks one of them, or a merge is not two tokens.
    """
    ids = {token: number for number, token in enumerate(spec.vocabulary)}
    missing = [byte for byte, character in enumerate(byte_characters()) if character not in ids]
    if missing:
        raise ArgumentError(f"The byte-pair vocabulary must have a token for every byte; it lacks {len(missing)} of "
                            f"256, the first is byte {missing[0]} ({byte_characters()[missing[0]]!r}). Give the "
                            "vocabulary that the model was trained with.")
    triples = np.zeros((len(spec.merges), 3), np.int32)
    for number, merge in enumerate(spec.merges):
        parts = merge.split(" ")
        tokens = [*parts, "".join(parts)]
        if len(parts) != 2 or any(token not in ids for token in tokens):
            raise ArgumentError(f"Merge {number} must be two tokens of the vocabulary that make a third one, with a "
                                f"space between them. Received: {merge!r}")
        triples[number] = [ids[token] for token in tokens]
    return (np.array([ids[character] for character in byte_characters()], np.int32), *triples.T)


def byte_vocabulary(max_length: int) -> BytePairPreprocessing:
    """Returns the preprocessing whose tokens are the 256 bytes and the end of a text, with nothing merged.

    Args:
        max_length: Tokens that the model reads, at least 1.

    Returns:
        The preprocessing; the id of a byte is its value, that of the end of text is 256.

    Raises:
        ArgumentError: max_length is below 1.
    """
    empty = BytePairPreprocessing(max_length=max_length)
    return dataclasses.replace(empty, vocabulary=(*byte_characters(), empty.end_of_text))
