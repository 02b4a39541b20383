from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoo.preprocessing.text import TextTransform, words
from zoo.spec import TextPreprocessing

SPEC = TextPreprocessing(max_length=5, vocabulary=("the", "don't", "café", "好", "3"))


def split(text: str | bytes, lowercase: bool = True) -> list[str]:
    return [word.decode() for word in words(tf.constant([text]), lowercase).to_list()[0]]


@pytest.mark.parametrize(("text", "expected"), [
    ("A plain sentence.", ["a", "plain", "sentence"]),
    ("  white\tspace\nof all\u00a0kinds\u3000here ", ["white", "space", "of", "all", "kinds", "here"]),
    ("Don't, he'd said; it\u2019s \u02bcnough", ["don't", "he'd", "said", "it's", "nough"]),
    ("'quoted' ''twice'' the dogs' 'n' o'clock'", ["quoted", "twice", "the", "dogs", "n", "o'clock"]),
    ("well-known (or_not)? 3.14%/$5", ["well", "known", "or", "not", "3", "14", "5"]),
    ("ÄÖÜ ΑΒΓ ЖЗИ", ["äöü", "αβγ", "жзи"]),
    ("cafe\u0301 naïve", ["cafe\u0301", "naïve"]),
    ("我喜欢 カフェ", ["我", "喜", "欢", "カ", "フ", "ェ"]),
    ("great😀😀 ❤️", ["great", "😀", "😀", "❤"]),
    ("<br />x", ["br", "x"]),
    ("", []), ("   ", []), ("!?.,;:'", []), ("' ' '", []),
])
def test_words(text: str, expected: list[str]) -> None:
    """Words are what stands between punctuation and white space of any alphabet."""
    assert split(text) == expected


def test_capital_letters_may_stay() -> None:
    """Without lowercase the words are as written."""
    assert split("Ab ÄB", lowercase=False) == ["Ab", "ÄB"]


@pytest.mark.parametrize("text", [b"ab\xffcd", b"\xc3", b"\xed\xa0\x80", b"ok \xf0\x9f\x98", b"\xff" * 50])
def test_bad_utf8_separates_words(text: bytes) -> None:
    """Bytes that are no UTF-8 vanish and nothing fails."""
    assert split(text) == [word for word in ("ab", "cd", "ok") if word.encode() in text]


def test_ids_are_padding_unknown_and_vocabulary() -> None:
    """0 pads on the right, 1 is unknown, 2 is the first word of the vocabulary; longer texts are cut."""
    ids = TextTransform(SPEC).batch(tf.constant(["The café!", "", "don't 好好 zzz 3 the the"]))
    assert ids.dtype == tf.int32
    np.testing.assert_array_equal(ids.numpy(), [[2, 4, 0, 0, 0], [0] * 5, [3, 5, 5, 1, 6]])


def test_truncated_names_the_texts_that_are_cut() -> None:
    """Exactly max_length words are not cut, one more is."""
    texts = tf.constant(["a b c d e", "a b c d e f", ""])
    assert TextTransform(SPEC).truncated(texts).numpy().tolist() == [False, True, False]


@pytest.mark.parametrize("in_graph", [False, True])
def test_no_texts_give_no_rows(in_graph: bool) -> None:
    """An empty batch is [0, max_length]."""
    transform = TextTransform(SPEC)
    call = tf.function(transform.batch, [tf.TensorSpec([None], tf.string)]) if in_graph else transform.batch
    assert call(tf.constant([], tf.string)).shape == (0, 5)


def test_an_empty_vocabulary_knows_no_word() -> None:
    """Before fitting every word is unknown."""
    ids = TextTransform(TextPreprocessing(max_length=3)).batch(tf.constant(["a b"]))
    assert ids.numpy().tolist() == [[1, 1, 0]]


def test_tf_data_gives_the_eager_ids() -> None:
    """The same object works batch by batch in tf.data, with a complete static shape."""
    transform = TextTransform(SPEC)
    texts = ["the one", "don't", "3 3 3 3 3 3 3", "好", "\u00a0"]
    dataset = tf.data.Dataset.from_tensor_slices(texts).batch(2).map(transform.batch)
    assert dataset.element_spec == tf.TensorSpec([None, 5], tf.int32)
    np.testing.assert_array_equal(np.concatenate(list(dataset.as_numpy_iterator())),
                                  transform.batch(tf.constant(texts)).numpy())


def test_a_row_does_not_depend_on_its_batch() -> None:
    """A text has the same ids alone and among others."""
    transform = TextTransform(SPEC)
    texts = ["the", "don't stop the café 3 times", ""]
    together = transform.batch(tf.constant(texts)).numpy()
    for row, text in zip(together, texts, strict=True):
        np.testing.assert_array_equal(transform.batch(tf.constant([text])).numpy()[0], row)
