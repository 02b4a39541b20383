"""The tokens of long texts in a nameless file on the disk, and the blocks that they are cut into."""

from __future__ import annotations

import tempfile
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.data.fingerprints import DIGEST_BYTES, content_digest

_TYPE = np.dtype("<i4")


class TokenFile:
    """Tokens that are appended once and then read at any place; the file is gone when this is."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - `finish` closes it, or else the end of this object
        weakref.finalize(self, self._file.close)
        self.count = 0
        self._tokens: Any = np.zeros(0, _TYPE)

    def append(self, tokens: np.ndarray) -> None:
        """Adds tokens, int [n], at the end."""
        np.ascontiguousarray(tokens, _TYPE).tofile(self._file)
        self.count += len(tokens)

    def finish(self) -> None:
        """Makes what was appended readable."""
        self._file.flush()
        if self.count:
            self._tokens = np.memmap(self._file, _TYPE, mode="r", shape=(self.count,))
        self._file.close()  # what is mapped stays

    def read(self, start: int, length: int) -> np.ndarray:
        """Returns the tokens from `start` on, int32 [length]."""
        return np.asarray(self._tokens[start:start + length])


@dataclass(frozen=True)
class Blocks:
    """Places of blocks in a `TokenFile`: the first token and the number of tokens of each, int64 [n]."""

    starts: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    def read(self, tokens: TokenFile, indices: np.ndarray, padding: int) -> tuple[np.ndarray, np.ndarray]:
        """Reads blocks.

        Args:
            tokens: The file.
            indices: Which blocks, int [B].
            padding: What fills up the shorter ones.

        Returns:
            Tokens int32 [B, L] of the longest block, and the length of each, int32 [B].
        """
        lengths = self.lengths[indices].astype(np.int32)
        rows = np.full((len(indices), int(lengths.max(initial=0))), padding, np.int32)
        for row, index in zip(rows, indices, strict=True):
            length = self.lengths[index]
            row[:length] = tokens.read(self.starts[index], length)
        return rows, lengths

    def digests(self, tokens: TokenFile) -> np.ndarray:
        """Returns the content digest of every block, bytes [n]."""
        found = np.zeros(len(self), f"S{DIGEST_BYTES}")
        for index in range(len(self)):
            found[index] = content_digest(tokens.read(self.starts[index], self.lengths[index]).tobytes())
        return found


def cut_blocks(first: int, last: int, size: int, overlap: int) -> Blocks:
    """Cuts tokens [first, last) into blocks.

    Args:
        first: The first token.
        last: The token behind the last one.
        size: Tokens of a block.
        overlap: How many of them are those that the next block begins with (1 where each token predicts the next).

    Returns:
        The blocks; the last may be shorter, but longer than `overlap`.
    """
    step = size - overlap
    starts = np.arange(first, max(last - overlap, first), step, dtype=np.int64)
    return Blocks(starts, np.minimum(size, last - starts))
