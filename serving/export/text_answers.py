"""Answers to texts that are not one per text: labels of words, and words for the gaps.

They are padded to the longest row of the batch: words with "", numbers with 0, places with -1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def labelled_words(probabilities: Any, pieces: Any, texts: Any, names: Sequence[str]) -> dict[str, Any]:
    """The best label of every word, which is that of its first piece.

    Args:
        probabilities: float32 [N, L, C] for the tokens of the texts, the first of which is a special one.
        pieces: The texts' `WordPieces`.
        texts: String [N].
        names: The C labels.

    Returns:
        With T the most words of a text: tokens string [N, T], labels string [N, T], scores float32 [N, T], starts and
        ends int32 [N, T], the bytes [start, end) of the text that are the word.
    """
    rows = tf.cast(pieces.words.value_rowids(), tf.int32)
    word = tf.stack([rows, pieces.words.flat_values], axis=1)
    differs = tf.reduce_any(tf.not_equal(word[1:], word[:-1]), axis=1)
    edge = tf.ones([tf.minimum(tf.shape(word)[0], 1)], tf.bool)
    is_first, is_last = tf.concat([edge, differs], axis=0), tf.concat([differs, edge], axis=0)
    columns = tf.ragged.range(tf.cast(pieces.words.row_lengths(), tf.int32)).flat_values + 1
    row, column = tf.boolean_mask(rows, is_first), tf.boolean_mask(columns, is_first)
    of_words = tf.gather_nd(probabilities, tf.stack([row, column], axis=1))
    starts = tf.boolean_mask(pieces.starts.flat_values, is_first)
    ends = tf.boolean_mask(pieces.ends.flat_values, is_last)
    values = {
        "tokens": (tf.strings.substr(tf.gather(texts, row), starts, ends - starts), ""),
        "labels": (tf.gather(tf.constant(list(names), tf.string), tf.argmax(of_words, axis=1)), ""),
        "scores": (tf.reduce_max(of_words, axis=1), 0.0),
        "starts": (starts, -1),
        "ends": (ends, -1),
    }
    count = tf.shape(texts, out_type=tf.int64)[0]
    return {name: padded(flat, row, count, filler) for name, (flat, filler) in values.items()}


def filled_masks(logits: Any, token_ids: Any, mask_id: int, vocabulary: Sequence[str], k: int) -> dict[str, Any]:
    """The best words for every gap.

    Args:
        logits: float32 [N, L, V].
        token_ids: int32 [N, L].
        mask_id: The token that stands for a gap.
        vocabulary: The V words.
        k: How many words for each, at most V.

    Returns:
        With M the most gaps of a text: tokens string [N, M, k], scores float32 [N, M, k], best first.
    """
    places = tf.where(tf.equal(token_ids, mask_id))
    scores, best = tf.math.top_k(tf.nn.softmax(tf.gather_nd(logits, places)), k=k)
    words = tf.gather(tf.constant(list(vocabulary), tf.string), best)
    rows, count = tf.cast(places[:, 0], tf.int32), tf.shape(token_ids, out_type=tf.int64)[0]
    return {"tokens": padded(words, rows, count, ""), "scores": padded(scores, rows, count, 0.0)}


def padded(flat: Any, rows: Any, count: Any, filler: Any) -> Any:
    """Values in the order of their rows as one tensor.

    Args:
        flat: [F, ...].
        rows: int32 [F], ascending: the row of each value.
        count: int64 scalar: the number of rows N.
        filler: What stands behind the values of a row that has fewer than another.

    Returns:
        [N, most values of a row, ...].
    """
    ragged = tf.RaggedTensor.from_value_rowids(flat, tf.cast(rows, tf.int64), nrows=count, validate=False)
    inner = flat.shape[1:]
    return tf.ensure_shape(ragged.to_tensor(default_value=tf.fill(inner.as_list(), tf.constant(filler, flat.dtype))),
                           [None, None, *inner.as_list()])
