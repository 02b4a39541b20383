from __future__ import annotations

from collections.abc import Iterator

import pytest
import tensorflow as tf

from zoo.errors import ArgumentError, DataError
from zoo.preprocessing.text import TextTransform
from zoo.preprocessing.text_vocabulary import fit_text

TEXTS = ["The cat, the dog.", "A cat!", "the Zebra and a bee"]


def test_words_are_sorted_by_count_then_alphabet() -> None:
    """The order of the texts makes no difference."""
    expected = ("the", "a", "cat", "and", "bee", "dog", "zebra")
    for texts in (TEXTS, TEXTS[::-1]):
        spec = fit_text(texts, max_length=7, max_words=100)
        assert (spec.vocabulary, spec.max_length, spec.lowercase) == (expected, 7, True)


def test_limits() -> None:
    """max_words keeps the most frequent, min_count drops the rare, lowercase=False keeps capitals apart."""
    assert fit_text(TEXTS, max_length=5, max_words=2).vocabulary == ("the", "a")
    assert fit_text(TEXTS, max_length=5, max_words=9, min_count=2).vocabulary == ("the", "a", "cat")
    assert "The" in fit_text(TEXTS, max_length=5, max_words=9, lowercase=False).vocabulary


def test_the_training_texts_have_no_unknown_word() -> None:
    """Fitting and serving split alike: with the whole vocabulary every word of the texts is known."""
    texts = ["Don\u2019t «stop» 好好 😀", "ÅNGSTRÖM naïve\u00a0Cafe\u0301 o'clock", "İstanbul ﬁne ß"]
    ids = TextTransform(fit_text(texts, max_length=20, max_words=100)).batch(tf.constant(texts)).numpy()
    assert not (ids == 1).any() and (ids > 1).sum() == 12


def test_a_stream_of_many_texts_is_read_once() -> None:
    """An iterator of more than one chunk is counted completely."""
    def stream() -> Iterator[str]:
        for number in range(2500):
            yield f"word{number % 7} all"

    assert fit_text(stream(), max_length=2, max_words=100, min_count=358).vocabulary == ("all", "word0")
    assert fit_text(stream(), max_length=2, max_words=4).vocabulary == ("all", "word0", "word1", "word2")


def test_bad_text_is_no_obstacle() -> None:
    """Lone surrogates and bytes that are no UTF-8 separate words."""
    assert fit_text(["a\ud800b", b"c\xffd"], max_length=2, max_words=9).vocabulary == ("a", "b", "c", "d")


@pytest.mark.parametrize("name", ["max_length", "max_words", "min_count"])
def test_numbers_below_one_are_refused(name: str) -> None:
    """The message names the argument and the value."""
    with pytest.raises(ArgumentError, match=f"`{name}` must be at least 1. Received: 0"):
        fit_text(TEXTS, **{"max_length": 5, "max_words": 5, name: 0})


def test_one_string_instead_of_several_is_refused() -> None:
    """A string is not taken for a list of letters."""
    with pytest.raises(ArgumentError, match="several strings"):
        fit_text("a text", max_length=5, max_words=5)


def test_an_element_that_is_no_string_is_named() -> None:
    """The position tells where to look."""
    with pytest.raises(ArgumentError, match="position 1: None"):
        fit_text(["a", None], max_length=5, max_words=5)  # type: ignore[list-item]


@pytest.mark.parametrize(("texts", "min_count"), [([], 1), (["", "?!"], 1), (["a b"], 2)])
def test_texts_without_words_are_refused(texts: list[str], min_count: int) -> None:
    """A vocabulary of nothing is an error, with the way out."""
    with pytest.raises(DataError, match="no word that occurs at least"):
        fit_text(texts, max_length=5, max_words=5, min_count=min_count)
