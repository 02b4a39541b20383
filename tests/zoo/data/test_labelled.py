from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from zoo.data.labelled import Examples, Lazy, Split
from zoo.errors import ArgumentError


def _split(count: int = 10, *, batched: bool = True) -> Split:
    examples = Examples(load=lambda index: tf.cast(index, tf.float32) * 2.0, batched=batched,
                        targets=np.arange(100, dtype=np.int32), names=[f"row {i}" for i in range(100)])
    return Split(examples, np.arange(0, 2 * count, 2))


def _targets(dataset: Any) -> list[list[int]]:
    return [targets.numpy().tolist() for _, targets in dataset]


@pytest.mark.parametrize("batched", [True, False])
def test_unshuffled_batches_follow_the_examples(batched: bool) -> None:
    """Without a shuffle seed inputs, targets and sources are in one order, read singly or in batches."""
    split = _split(5, batched=batched)
    assert _targets(split.batches(2)) == [[0, 2], [4, 6], [8]]
    assert [inputs.numpy().tolist() for inputs, _ in split.batches(2)] == [[0.0, 4.0], [8.0, 12.0], [16.0]]
    assert list(split.examples()) == [f"row {i}" for i in (0, 2, 4, 6, 8)]
    assert split.targets().tolist() == [0, 2, 4, 6, 8]
    assert split.count == 5


@pytest.mark.parametrize("batched", [True, False])
def test_a_shuffled_epoch_is_a_permutation_that_the_seed_decides(batched: bool) -> None:
    """Every example comes once; the same seed gives the same batches, another seed others."""
    split = _split(50, batched=batched)
    first = _targets(split.batches(8, shuffle_seed=1))
    assert sorted(target for batch in first for target in batch) == list(range(0, 100, 2))
    assert first == _targets(split.batches(8, shuffle_seed=1))
    assert first != _targets(split.batches(8, shuffle_seed=2))
    assert first != _targets(split.batches(8))


def test_the_permutation_is_full() -> None:
    """Shuffling is over the whole part: the first batch has examples from its very end."""
    assert max(_targets(_split(50).batches(10, shuffle_seed=0))[0]) > 50


def test_seeds_of_any_size_and_sign_work() -> None:
    """Whatever integer a caller computes is a seed of its own."""
    orders = {str(_targets(_split(20).batches(20, shuffle_seed=seed))) for seed in (0, -1, 1, 2**31, 2**70)}
    assert len(orders) == 5


def test_the_shuffled_order_is_pinned() -> None:
    """A run that is continued after an upgrade sees the same order as before."""
    assert _targets(_split(8).batches(8, shuffle_seed=7)) == [[8, 10, 6, 14, 0, 12, 2, 4]]


@pytest.mark.parametrize("batched", [True, False])
def test_drop_remainder_gives_full_batches_of_known_size(batched: bool) -> None:
    """The last batch that is not full is left out, and the batch size is part of the shape."""
    dataset = _split(5, batched=batched).batches(2, drop_remainder=True)
    assert _targets(dataset) == [[0, 2], [4, 6]]
    assert dataset.element_spec[1].shape == [2]


def test_number_of_batches_is_known() -> None:
    """A progress bar can show the end."""
    assert int(_split(5).batches(2).cardinality()) == 3


def test_augment_changes_whole_batches_with_a_seed_of_their_own() -> None:
    """`augment` sees each batch with an int32 [2] seed that differs from batch to batch and repeats with the epoch."""
    def augment(inputs: Any, targets: Any, seed: Any) -> tuple[Any, Any]:
        assert seed.shape == [2] and seed.dtype == tf.int32
        return inputs + tf.random.stateless_uniform(tf.shape(inputs), seed), targets

    def epoch(seed: int) -> list[list[float]]:
        return [inputs.numpy().tolist() for inputs, _ in _split(6).batches(2, shuffle_seed=seed, augment=augment)]

    plain = np.concatenate([inputs.numpy() for inputs, _ in _split(6).batches(2, shuffle_seed=3)])
    noise = np.concatenate(epoch(3)) - plain
    assert epoch(3) == epoch(3)
    assert len(set(np.round(noise, 3).tolist())) == 6
    other = np.concatenate(epoch(4)) - np.concatenate([x.numpy() for x, _ in _split(6).batches(2, shuffle_seed=4)])
    assert not np.allclose(noise, other, atol=1e-3)


def test_a_batch_size_below_one_is_refused() -> None:
    """A batch of no examples is a mistake."""
    with pytest.raises(ArgumentError, match=r"`batch_size` must be at least 1. Received: 0"):
        _split().batches(0)


def test_the_load_function_is_traced_once() -> None:
    """A second epoch does not build the graph of the preprocessing again."""
    traces = []

    def load(index: Any) -> Any:
        traces.append(1)
        return tf.cast(index, tf.float32)

    split = Split(Examples(load=load, batched=True, targets=np.zeros(4, np.int32), names=list("abcd")), np.arange(4))
    for _ in range(3):
        list(split.batches(2, shuffle_seed=1))
    assert len(traces) == 1


def test_lazy_sequence_makes_items_on_demand() -> None:
    """A lazy sequence counts, slices and refuses like a list, and makes nothing in advance."""
    made = []
    sequence = Lazy(1000, lambda i: made.append(i) or i * i)  # type: ignore[func-returns-value]
    assert (len(sequence), sequence[-1], list(sequence[2:5]), made) == (1000, 998001, [4, 9, 16], [999, 2, 3, 4])
    with pytest.raises(IndexError):
        sequence[1000]
