from __future__ import annotations

import random
from typing import Any

import pytest
import tensorflow as tf

from zoo.errors import ArgumentError, DataError
from zoo.preprocessing.wordpiece import WordPieceTransform
from zoo.preprocessing.wordpiece_fitting import fit_wordpiece
from zoo.spec import WordPiecePreprocessing

SENTENCES = ["the walker walked", "the talker talked", "walking and talking", "Walk the Café!"] * 20
RESERVED = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def test_frequent_words_become_pieces() -> None:
    """Special tokens first, then characters, then whole words, as tensorflow-text's learner chooses them."""
    spec = fit_wordpiece(iter(SENTENCES), max_length=16, vocabulary_size=100)
    assert spec.vocabulary[:5] == RESERVED
    assert {"the", "walk", "w", "##w", "!"} <= set(spec.vocabulary)
    assert spec == WordPiecePreprocessing(max_length=16, vocabulary=spec.vocabulary)


@pytest.mark.parametrize("size", [30, 40, 60])
def test_the_size_is_kept(size: int) -> None:
    """The vocabulary is at most as large as asked for, without a piece twice."""
    spec = fit_wordpiece(SENTENCES, max_length=16, vocabulary_size=size)
    assert 5 < len(spec.vocabulary) <= size
    assert len(set(spec.vocabulary)) == len(spec.vocabulary)


def test_no_training_text_is_unknown() -> None:
    """Characters of the texts are pieces, at the start of words and inside them."""
    spec = fit_wordpiece(SENTENCES, max_length=16, vocabulary_size=100)
    ids = WordPieceTransform(spec).batch(tf.constant([*SENTENCES[:4], "tawlk dnegk"]))["token_ids"].numpy()
    assert spec.vocabulary.index("[UNK]") not in ids


def test_the_order_of_the_texts_does_not_matter() -> None:
    """The same texts in another order give the same vocabulary."""
    shuffled = random.Random(0).sample(SENTENCES, len(SENTENCES))
    assert (fit_wordpiece(shuffled, max_length=8, vocabulary_size=50)
            == fit_wordpiece(SENTENCES, max_length=8, vocabulary_size=50))


def test_capitals_and_accents_stay_where_asked() -> None:
    """The texts are normalised as they will be in serving."""
    lower = fit_wordpiece(SENTENCES, max_length=8, vocabulary_size=100).vocabulary
    cased = fit_wordpiece(SENTENCES, max_length=8, vocabulary_size=100, lowercase=False).vocabulary
    assert "W" not in lower and "é" not in "".join(lower)
    assert "W" in cased and "##é" in cased


@pytest.mark.parametrize(("texts", "options", "error", "message"), [
    (["a"], {"vocabulary_size": 15}, ArgumentError, "`vocabulary_size` must be at least 16"),
    (["a"], {"max_length": 3}, ArgumentError, "`max_length` must be at least 4"),
    ("one text", {}, ArgumentError, "put it into a list"),
    (["a", 3], {}, ArgumentError, "position 1: 3"),
    (["", " \n"], {}, DataError, "no words"),
])
def test_what_cannot_be_learnt_from(texts: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    """One line says what is wrong."""
    with pytest.raises(error, match=message):
        fit_wordpiece(texts, **{"max_length": 8, "vocabulary_size": 50, **options})
