"""Which bytes of a text each byte of its normalised words came from, for answers that point into the text."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from zoo.preprocessing.bert_words import SPECIAL_SIGNS, normalised


class LocatedWords(NamedTuple):
    """Normalised words and their sources.

    words: string [N, (words)], a tf.RaggedTensor.
    starts, ends: The bytes [start, end) of its text that each byte of all words, one word after another, came from;
        int32 [bytes].
    """

    words: Any
    starts: Any
    ends: Any


def character_sources(texts: Any, *, lowercase: bool, signs: tuple[str, ...] = ()) -> LocatedWords:
    """Normalises texts like `normalised`, and remembers where everything came from.

    Args:
        texts: UTF-8, string [N].
        lowercase: Whether capitals become small letters and accents are dropped.
        signs: The special tokens that stand in the texts as `SPECIAL_SIGNS`.

    Returns:
        The words and their sources.
    """
    characters, offsets = tf.strings.unicode_split_with_offsets(texts, "UTF-8")
    distinct, number = tf.unique(characters.flat_values)
    written = tf.gather(normalised(distinct, lowercase=lowercase, signs=bool(signs)), number)
    lengths = tf.strings.length(distinct)
    for token, sign in zip(signs, SPECIAL_SIGNS, strict=False):
        lengths = tf.where(distinct == sign, len(token.encode()), lengths)
    starts = tf.cast(offsets.flat_values, tf.int32)
    ends = starts + tf.gather(lengths, number)

    words = tf.strings.split(tf.strings.reduce_join(characters.with_flat_values(written), axis=1))
    raw = tf.io.decode_raw(tf.strings.reduce_join(written), tf.uint8)
    source = tf.repeat(tf.range(tf.size(written)), tf.strings.length(written))
    source = tf.boolean_mask(source, raw > ord(" "))  # white space separates words and is in none
    return LocatedWords(words, tf.gather(starts, source), tf.gather(ends, source))
