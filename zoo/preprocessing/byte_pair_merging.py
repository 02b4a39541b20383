"""Byte-pair encoding of many words at once, in core TensorFlow ops and without state."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import tensorflow as tf

_NEVER = 2**40  # a rank after all others


@final
class PairMerger(tf.Module):  # type: ignore[misc]
    """Merges the tokens of words in the order of a learnt list; the list is a table that a SavedModel tracks.

    Args:
        left: The first token of each merge, in their order, int [M].
        right: The second one, int [M].
        merged: The token that they become, int [M].
        size: Tokens of the vocabulary.
    """

    def __init__(self, left: Any, right: Any, merged: Any, size: int) -> None:
        super().__init__(name="pair_merger")
        self._size = size
        keys = np.asarray(left, np.int64) * size + np.asarray(right, np.int64)
        ranks = np.arange(len(keys), dtype=np.int64)
        # A table may not be empty, and no pair has the key -1. Of a merge that stands twice, the first counts.
        keys, first = np.unique(np.append(keys, -1), return_index=True)
        ranks = np.append(ranks, _NEVER)[first]
        self._table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, ranks),
                                                default_value=_NEVER, name="merges")
        self._merged = tf.constant(np.append(merged, 0), tf.int32)

    # A function of its own, so that callers outside a graph wait for one call and not for one per operation.
    @tf.function(autograph=False, input_signature=[  # type: ignore[untyped-decorator]
        tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.int32), tf.TensorSpec([], tf.int32)])
    def merge(self, tokens: Any, words: Any, count: Any) -> tuple[Any, Any]:
        """Merges until no pair of a word is in the list.

        Args:
            tokens: The tokens of all words one after another, int32 [S].
            words: The number of the word that each belongs to, int32 [S], rising.
            count: Words.

        Returns:
            The tokens and words that are left, int32 [R].
        """
        def step(tokens: Any, words: Any, going: Any) -> tuple[Any, Any, Any]:
            del going
            keys = tf.cast(tokens[:-1], tf.int64) * self._size + tf.cast(tokens[1:], tf.int64)
            ranks = tf.where(words[:-1] == words[1:], self._table.lookup(keys), _NEVER)
            best = tf.math.unsorted_segment_min(ranks, words[:-1], count)
            hits = (ranks == tf.gather(best, words[:-1])) & (ranks < _NEVER)
            # Of overlapping hits (a a a) the first, third, ... are merged.
            places = tf.range(tf.size(hits))
            last_miss = _running_maximum(tf.where(hits, -1, places), hits)
            hits &= (places - last_miss) % 2 == 1
            new = tf.gather(self._merged, tf.boolean_mask(ranks, hits))
            tokens = tf.tensor_scatter_nd_update(tokens, tf.where(hits), new)
            kept = tf.concat([[True], ~hits], 0)
            return tf.boolean_mask(tokens, kept), tf.boolean_mask(words, kept), tf.reduce_any(hits)

        tokens, words, _ = tf.while_loop(
            lambda tokens, words, going: going, step, (tokens, words, tf.size(tokens) > 1),
            shape_invariants=(tf.TensorShape([None]), tf.TensorShape([None]), tf.TensorShape([])))
        return tokens, words


def _running_maximum(misses: Any, hits: Any) -> Any:
    """The last miss at or before each place, -1 where there is none; `misses` holds each miss's own place."""
    places = tf.concat([[-1], tf.boolean_mask(misses, ~hits)], 0)
    return tf.gather(places, tf.cumsum(tf.cast(~hits, tf.int32)))
