"""Blocks of tokens cover all of them, and come back as they were."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.data.token_blocks import TokenFile, cut_blocks


@pytest.mark.parametrize(("last", "size", "overlap", "expected"), [
    (10, 4, 0, [(0, 4), (4, 4), (8, 2)]),
    (10, 4, 1, [(0, 4), (3, 4), (6, 4)]),
    (11, 4, 1, [(0, 4), (3, 4), (6, 4), (9, 2)]),
    (1, 4, 1, []),
    (0, 4, 0, []),
])
def test_blocks(last: int, size: int, overlap: int, expected: list[tuple[int, int]]) -> None:
    """Each token is in one block; with an overlap each but the first is a target once."""
    blocks = cut_blocks(0, last, size, overlap)
    assert list(zip(blocks.starts.tolist(), blocks.lengths.tolist(), strict=True)) == expected


def test_tokens_are_read_as_they_were_written() -> None:
    """Rows are filled up to the longest of the batch; digests tell contents apart."""
    tokens = TokenFile()
    tokens.append(np.arange(5))
    tokens.append(np.arange(100, 105))
    tokens.finish()
    blocks = cut_blocks(0, 10, 4, 0)
    rows, lengths = blocks.read(tokens, np.array([2, 0]), padding=-7)
    assert rows.tolist() == [[103, 104, -7, -7], [0, 1, 2, 3]]
    assert lengths.tolist() == [2, 4]
    assert len(set(blocks.digests(tokens).tolist())) == 3
    empty = TokenFile()
    empty.finish()
    assert len(cut_blocks(0, 0, 4, 0).digests(empty)) == 0
