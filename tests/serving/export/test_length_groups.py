"""Rows of about the same length are computed together, and come back in their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.export.length_groups import in_length_groups


def grouped(lengths: list[int]) -> tuple[Any, Any]:
    """What a model would have given: (the sum of each row, how many steps it was computed with), for ids that count."""
    steps = max(lengths, default=0)
    ids = np.arange(len(lengths) * steps, dtype=np.int32).reshape(len(lengths), steps)
    mask = (np.arange(steps)[None] < np.array(lengths, int).reshape(-1, 1)).astype(np.int32)

    def call(ids: Any, mask: Any) -> dict[str, Any]:
        sums = tf.cast(tf.reduce_sum(ids * mask, axis=1, keepdims=True), tf.float32)
        return {"sums": sums, "steps": tf.fill(tf.shape(sums), tf.cast(tf.shape(ids)[1], tf.float32))}

    given = {name: tf.TensorSpec([None, 1], tf.float32) for name in ("steps", "sums")}
    traced = tf.function(lambda ids, mask: in_length_groups(call, given, [ids, mask], tf.reduce_sum(mask, axis=1)),
                         autograph=False,
                         input_signature=[tf.TensorSpec([None, None], tf.int32)] * 2)
    found = traced(ids, mask)
    np.testing.assert_array_equal(found["sums"].numpy()[:, 0], (ids * mask).sum(1))
    return found["steps"].numpy()[:, 0].tolist(), mask


@pytest.mark.parametrize(("lengths", "steps"), [
    ([128], [128]),
    ([100, 100, 100], [100, 100, 100]),
    ([120, 90, 110], [120, 120, 120]),
    ([20, 128, *[20] * 6], [20, 128, *[20] * 6]),
    ([5, 500, 120, 7, 300, 480], [120, 500, 120, 120, 300, 500]),
], ids=str)
def test_rows_are_parted_where_it_pays(lengths: list[int], steps: list[int]) -> None:
    """A few tokens of padding cost less than a further call; many do not."""
    assert grouped(lengths)[0] == steps


def test_no_rows() -> None:
    """An empty batch is computed at once, as one group of none."""
    assert grouped([])[0] == []


def test_many_rows_of_random_lengths_stay_in_order() -> None:
    """Every row gets its own answer, and no row is computed with fewer steps than it has."""
    lengths = np.random.Generator(np.random.PCG64(3)).integers(1, 400, 50).tolist()
    steps = grouped(lengths)[0]
    assert all(step >= length for step, length in zip(steps, lengths, strict=True))
    assert sum(steps) < 0.75 * 50 * max(lengths)
