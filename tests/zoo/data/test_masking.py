"""Masking: the right shares, decided by example and seed, and never of padding or special tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data.masking import masked

MASK, LENGTH, WORDS = 4, 64, 1000


def _mask(ids: np.ndarray, maskable: np.ndarray, indices: Any, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    shown, hidden = masked(tf.constant(ids), tf.constant(maskable), tf.constant(indices), tf.constant(seed),
                           mask_id=MASK, others=tf.range(10, WORDS), longest=LENGTH)
    return shown.numpy(), hidden.numpy()


def _batch(rows: int) -> tuple[np.ndarray, np.ndarray]:
    ids = np.random.default_rng(0).integers(10, WORDS, size=(rows, LENGTH)).astype(np.int32)
    maskable = np.ones(ids.shape, bool)
    maskable[:, [0, LENGTH - 9]] = False
    maskable[:, LENGTH - 8:] = False
    return ids, maskable


def test_shares_are_those_of_bert() -> None:
    """About 15 % of the tokens are asked for; of those 80 % are hidden, 10 % replaced and 10 % shown."""
    ids, maskable = _batch(400)
    shown, hidden = _mask(ids, maskable, np.arange(400))
    asked = hidden >= 0
    assert abs(asked.sum() / maskable.sum() - 0.15) < 0.01
    assert (hidden[asked] == ids[asked]).all()
    assert (shown[~asked] == ids[~asked]).all()
    assert not asked[~maskable].any()
    assert abs((shown[asked] == MASK).mean() - 0.8) < 0.02
    kept = (shown[asked] == ids[asked]).mean()
    assert abs(kept - 0.1) < 0.02
    others = shown[asked][(shown[asked] != MASK) & (shown[asked] != ids[asked])]
    assert others.min() >= 10
    assert len(np.unique(others)) > 100


def test_an_example_is_masked_alike_in_every_batch() -> None:
    """What happens depends on the example's number and the seed, not on its neighbours or the padding."""
    ids, maskable = _batch(8)
    shown, hidden = _mask(ids, maskable, np.arange(8))
    alone, alone_hidden = _mask(ids[3:4, :40], maskable[3:4, :40], [3])
    assert (alone == shown[3:4, :40]).all()
    assert (alone_hidden == hidden[3:4, :40]).all()
    other, _ = _mask(ids, maskable, np.arange(8), seed=2)
    assert (other != shown).any()


def test_short_texts_have_something_to_tell() -> None:
    """Each row with a maskable token asks for one at least, and a row without any for none."""
    ids = np.array([[2, 50, 3], [2, 3, 0]] * 20, np.int32)
    maskable = ids >= 10
    _, hidden = _mask(ids, maskable, np.arange(40))
    assert (hidden[::2] == [-1, 50, -1]).all()
    assert (hidden[1::2] == -1).all()
