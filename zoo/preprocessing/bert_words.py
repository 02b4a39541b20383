"""BERT's normalisation and its words, in TensorFlow ops."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def bert_words(texts: Any, *, lowercase: bool) -> Any:
    """Splits texts into BERT's words: what stands between white space; signs of punctuation and of Chinese are words.

    Args:
        texts: UTF-8, string [N]; bytes that are no UTF-8 vanish.
        lowercase: Whether capitals become small letters and accents are dropped.

    Returns:
        string [N, (words)], a tf.RaggedTensor of normalised words.
    """
    return tf.strings.split(_spaced(texts, lowercase))


def _spaced(texts: Any, lowercase: bool) -> Any:
    from tensorflow_text import normalize_utf8

    plain = tf.strings.regex_full_match(texts, r"[\x00-\x7f]*")
    others = tf.where(~plain)
    rest = tf.strings.unicode_transcode(tf.gather_nd(texts, others), "UTF-8", "UTF-8", errors="ignore")
    rest = tf.strings.regex_replace(rest, r"[\x{7f}-\x{9f}\x{FFFD}\p{Cf}\p{Co}]", "")
    rest = tf.strings.regex_replace(rest, r"[\p{Z}]", " ")
    rest = tf.strings.regex_replace(rest, _CHINESE, r" \0 ")
    if lowercase:
        rest = tf.strings.regex_replace(normalize_utf8(rest, "NFD"), r"\p{Mn}", "")
        rest = tf.strings.lower(tf.strings.regex_replace(rest, "\u03a3", "\u03c3"), encoding="utf-8")
    texts = tf.tensor_scatter_nd_update(texts, others, rest)
    texts = tf.strings.regex_replace(texts, r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "")
    if lowercase:
        texts = tf.strings.lower(texts)
    return tf.strings.regex_replace(texts, r"[!-/:-@\[-`{-~\p{P}]", r" \0 ")


_CHINESE = (r"[\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}\x{2B740}-\x{2B81F}"
            r"\x{2B920}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]")
