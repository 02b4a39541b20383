"""BERT's normalisation, in TensorFlow ops: afterwards white space separates the words."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from zoo.errors import MissingDependencyError

# The signs of special tokens inside the graph: characters that Unicode promises never to use. A text's own become
# another of their kind.
SPECIAL_SIGNS = "\ufdd0\ufdd1\ufdd2\ufdd3\ufdd4"
OWN_SIGN = "\ufdd5"

# Everything below is in the language of RE2. The reference tokenizer knows the character categories of Unicode 8;
# these are the characters that have got one of those that matter here since, or another one.
_SINCE = (
    r"\x{61D}\x{7FD}\x{890}\x{891}\x{898}-\x{89F}\x{8CA}-\x{8E2}\x{9FD}\x{9FE}\x{A76}\x{AFA}-\x{AFF}\x{B55}\x{C04}"
    r"\x{C3C}\x{C77}\x{C84}\x{D00}\x{D3B}\x{D3C}\x{D81}\x{EBA}\x{ECE}\x{180F}\x{1885}\x{1886}\x{1ABF}-\x{1ACE}"
    r"\x{1B7D}\x{1B7E}\x{1DF6}-\x{1DFB}\x{2E43}-\x{2E4F}\x{2E52}-\x{2E5D}\x{A82C}\x{A8C5}\x{A8FF}\x{A9BD}"
    r"\x{10D24}-\x{10D27}\x{10EAB}-\x{10EAD}\x{10EFD}-\x{10EFF}\x{10F46}-\x{10F59}\x{10F82}-\x{10F89}\x{11070}"
    r"\x{11073}\x{11074}\x{110C2}\x{110CD}\x{111C9}\x{111CF}\x{1123E}\x{11241}\x{1133B}\x{11438}-\x{1145E}"
    r"\x{11660}-\x{1166C}\x{116B9}\x{1182F}-\x{1183B}\x{1193B}-\x{11946}\x{119D4}-\x{119E2}\x{11A01}-\x{11AA2}"
    r"\x{11B00}-\x{11B09}\x{11C30}-\x{11C45}\x{11C70}-\x{11CB6}\x{11D31}-\x{11D47}\x{11D90}-\x{11D97}"
    r"\x{11EF3}-\x{11F4F}\x{11FFF}\x{12FF1}\x{12FF2}\x{13430}-\x{13455}\x{16E97}-\x{16E9A}\x{16F4F}\x{16FE2}\x{16FE4}"
    r"\x{1CF00}-\x{1CF46}\x{1E000}-\x{1E02A}\x{1E08F}\x{1E130}-\x{1E136}\x{1E2AE}\x{1E2EC}-\x{1E2EF}"
    r"\x{1E4EC}-\x{1E4EF}\x{1E944}-\x{1E94A}\x{1E95E}\x{1E95F}"
)
_ASCII_CONTROL = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F]"
_REMOVED = rf"[\x{{7F}}-\x{{9F}}\x{{FFFD}}\p{{Co}}]|[^\P{{Cf}}{_SINCE}]"
_WHITE_SPACE = r"\p{Z}"
_ACCENT = rf"\x{{1734}}|[^\P{{Mn}}{_SINCE}]"
_PUNCTUATION = rf"[!-/:-@\[-`{{-~\x{{166D}}\x{{111C9}}]|[^\P{{P}}{_SINCE}]"
_CHINESE = (r"[\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}\x{2B740}-\x{2B81F}"
            r"\x{2B920}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]")
_SIGNS = r"[\x{FDD0}-\x{FDD4}]"
_ALONE = r" \0 "


def normalised(texts: Any, *, lowercase: bool, signs: bool = False) -> Any:
    """Normalises texts as BERT does and puts spaces round each sign that is a word.

    It works character by character: what becomes of one does not depend on those beside it.

    Args:
        texts: UTF-8, string [N]; bytes that are no UTF-8 vanish.
        lowercase: Whether capitals become small letters and accents are dropped.
        signs: Whether each of `SPECIAL_SIGNS` is a word.

    Returns:
        string [N]; white space is " ", tab or line break.

    Raises:
        MissingDependencyError: tensorflow-text is not installed.
    """
    texts = tf.strings.regex_replace(texts, _ASCII_CONTROL, "")  # first: decomposition ends at a zero byte
    # Most texts are ASCII and need no more than that.
    rich = tf.where(~tf.strings.regex_full_match(texts, r"[\x00-\x7F]*"))
    texts = tf.tensor_scatter_nd_update(texts, rich, _rich(tf.gather_nd(texts, rich), lowercase, signs))
    if lowercase:
        texts = tf.strings.lower(texts)
    return tf.strings.regex_replace(texts, _PUNCTUATION, _ALONE)


def _rich(texts: Any, lowercase: bool, signs: bool) -> Any:
    texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="ignore")
    texts = tf.strings.regex_replace(texts, _REMOVED, "")
    texts = tf.strings.regex_replace(texts, _WHITE_SPACE, " ")
    texts = tf.strings.regex_replace(texts, f"{_CHINESE}|{_SIGNS}" if signs else _CHINESE, _ALONE)
    if not lowercase:
        return texts
    texts = tf.strings.regex_replace(_decomposed(texts), _ACCENT, "")
    # ASCII first: a server in a Turkish locale would make a dotless letter of "I". A capital sigma at the end of a
    # word has a small letter of its own, but not for the reference.
    texts = tf.strings.regex_replace(tf.strings.lower(texts), "\u03a3", "\u03c3")
    return tf.strings.lower(texts, encoding="utf-8")


def _decomposed(texts: Any) -> Any:
    try:
        from tensorflow_text import normalize_utf8
    except ImportError as error:
        raise MissingDependencyError("tensorflow_text", "hub", "WordPiece tokenization") from error
    return normalize_utf8(texts, "NFD")


def with_special_signs(texts: Any, tokens: tuple[str, ...]) -> Any:
    """Replaces special tokens in texts by `SPECIAL_SIGNS`.

    Args:
        texts: string [N].
        tokens: At most five tokens, of at least three bytes each.

    Returns:
        string [N]; no byte before or behind a token moves, what is left of its place becomes control characters.
    """
    texts = tf.strings.regex_replace(texts, _SIGNS, OWN_SIGN)
    for token, sign in zip(tokens, SPECIAL_SIGNS, strict=False):
        filled = sign.encode() + b"\x01" * (len(token.encode()) - len(sign.encode()))
        texts = tf.strings.regex_replace(texts, rf"\Q{token}\E", filled)
    return texts
