"""Strings to BERT's word pieces in the graph; the same object in training and in the export."""

from __future__ import annotations

from typing import Any, NamedTuple, final

import tensorflow as tf

from zoo.errors import ArgumentError, MissingDependencyError
from zoo.preprocessing.bert_words import bert_words
from zoo.preprocessing_spec import WordPiecePreprocessing

# BERT calls a word of more characters unknown.
_LONGEST_WORD_CHARACTERS = 100
_NO_WORD = "\uffff"  # a character of no text, which no vocabulary has
_LONGEST_WORD_BYTES = 4 * _LONGEST_WORD_CHARACTERS


class WordPieces(NamedTuple):
    """The pieces of texts without special tokens, cut off as in a batch: the piece in column j is token j + 1 there.

    token_ids: int32 [N, (pieces)], a tf.RaggedTensor.
    words: int32 [N, (pieces)]: which word of the text, counted from 0, the piece belongs to.
    starts, ends: int32 [N, (pieces)]: the bytes [start, end) of the text that the piece stands for.
    """

    token_ids: Any
    words: Any
    starts: Any
    ends: Any


@final
class WordPieceTransform(tf.Module):  # type: ignore[misc]
    """Runs a `WordPiecePreprocessing`, with the ids of BERT's own tokenizer.

    Args:
        spec: What to do; its vocabulary must not be empty.

    Raises:
        ArgumentError: The vocabulary is empty.
        MissingDependencyError: tensorflow-text is not installed.
    """

    def __init__(self, spec: WordPiecePreprocessing) -> None:
        super().__init__(name="wordpiece_transform")
        if not spec.vocabulary:
            raise ArgumentError("The WordPiece vocabulary is empty. Learn one with fit_wordpiece(texts, ...), or give "
                                "the vocabulary that the model was trained with.")
        try:
            from tensorflow_text import FastWordpieceTokenizer
        except ImportError as error:
            raise MissingDependencyError("tensorflow_text", "hub", "WordPiece tokenization") from error
        self.spec = spec
        ids = {token: number for number, token in enumerate(spec.vocabulary)}
        self.unknown_id = ids[spec.unknown_token]
        self.classify_id = ids[spec.classify_token]
        self.separator_id = ids[spec.separator_token]
        self.padding_id = ids[spec.padding_token]
        self.mask_id = ids.get(spec.mask_token)
        self._pieces = FastWordpieceTokenizer(list(spec.vocabulary), token_out_type=tf.int32,
                                              unknown_token=spec.unknown_token, no_pretokenization=True,
                                              max_bytes_per_word=_LONGEST_WORD_BYTES)

    def batch(self, texts: Any, pairs: Any = None) -> dict[str, Any]:
        """Turns texts, or pairs of them, into the inputs of BERT.

        Args:
            texts: UTF-8, string [N]; N may be 0.
            pairs: The second texts, string [N], where the examples are pairs.

        Returns:
            "token_ids", "segment_ids" (1 for the second text and its separator) and "padding_mask" (1 for tokens),
            int32 [N, L]; L is the length of the longest example, at most max_length.

        Raises:
            ArgumentError: The preprocessing is for pairs and there is no second text, or the other way round.
        """
        self._check_pairs(pairs)
        first = self._ids(texts)
        rows = first.nrows(tf.int32)
        cls, sep = (tf.fill([rows, 1], token) for token in (self.classify_id, self.separator_id))
        if pairs is None:
            first = first[:, :self.spec.max_length - 2]
            joined = tf.concat([cls, first, sep], axis=1)
            lengths = tf.cast(joined.row_lengths(), tf.int32)
            boundary = lengths
        else:
            second = self._ids(pairs)
            keep_first, keep_second = self._kept(first, second)
            first, second = _cut(first, keep_first), _cut(second, keep_second)
            joined = tf.concat([cls, first, sep, second, sep], axis=1)
            lengths = tf.cast(joined.row_lengths(), tf.int32)
            boundary = tf.cast(first.row_lengths(), tf.int32) + 2
        tokens = joined.to_tensor(default_value=self.padding_id)
        tokens = tf.pad(tokens, [[0, 0], [0, tf.cast(tf.shape(tokens)[1] == 0, tf.int32)]])  # an empty batch is [0, 1]
        columns = tf.range(tf.shape(tokens)[1])[tf.newaxis]
        mask = columns < lengths[:, tf.newaxis]
        segments = mask & (columns >= boundary[:, tf.newaxis])
        return {"token_ids": tf.ensure_shape(tokens, [None, None]), "segment_ids": tf.cast(segments, tf.int32),
                "padding_mask": tf.cast(mask, tf.int32)}

    def truncated(self, texts: Any, pairs: Any = None) -> Any:
        """Returns which examples have more tokens than the model reads: bool [N] for string [N]."""
        self._check_pairs(pairs)
        total = self._ids(texts).row_lengths() + 2
        if pairs is not None:
            total += self._ids(pairs).row_lengths() + 1
        return total > self.spec.max_length

    def _check_pairs(self, pairs: Any) -> None:
        if (pairs is not None) != self.spec.pair:
            expected, came = ("pairs of texts", "single texts") if self.spec.pair else ("single texts", "pairs")
            raise ArgumentError(f"The preprocessing is for {expected} (pair={self.spec.pair}). Received: {came}.")

    def _ids(self, texts: Any) -> Any:
        words = bert_words(_strings(texts), lowercase=self.spec.lowercase)
        long = tf.strings.length(words.flat_values, unit="UTF8_CHAR") > _LONGEST_WORD_CHARACTERS
        pieces = self._pieces.tokenize(tf.where(long, _NO_WORD, words.flat_values))
        return words.with_flat_values(pieces).merge_dims(1, 2)

    def _kept(self, first: Any, second: Any) -> tuple[Any, Any]:
        """How many tokens of each text of a pair stay."""
        room = self.spec.max_length - 3
        one, two = (tf.cast(ids.row_lengths(), tf.int32) for ids in (first, second))
        if self.spec.truncation == "only_first":
            one = tf.minimum(one, tf.maximum(room - two, 0))
            return one, tf.minimum(two, room)
        if self.spec.truncation == "only_second":
            two = tf.minimum(two, tf.maximum(room - one, 0))
            return tf.minimum(one, room), two
        # Both longer than half the room: halves, and the odd token goes to the longer text, to the second if equal.
        half, rest = room // 2, room % 2
        first_is_longer = one > two
        short, long = tf.minimum(one, two), tf.maximum(one, two)
        kept_long = tf.minimum(long, tf.maximum(room - short, half + rest))
        kept_short = tf.where(short + kept_long > room, half, short)
        return (tf.where(first_is_longer, kept_long, kept_short), tf.where(first_is_longer, kept_short, kept_long))


def _strings(texts: Any) -> Any:
    return tf.ensure_shape(tf.convert_to_tensor(texts, tf.string), [None])


def _cut(ids: Any, lengths: Any) -> Any:
    columns = tf.ragged.range(tf.cast(ids.row_lengths(), tf.int32))
    keep = columns.flat_values < tf.gather(lengths, ids.value_rowids())
    return tf.ragged.boolean_mask(ids, ids.with_flat_values(keep))
