"""Learning the vocabulary of a `WordPiecePreprocessing` from texts that stream by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from zoo.errors import ArgumentError, DataError, MissingDependencyError
from zoo.preprocessing.bert_words import normalised
from zoo.preprocessing.text_vocabulary import count_words
from zoo.preprocessing_spec import WordPiecePreprocessing

_RESERVED = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_INSIDE = "##"
# The alphabet, at the start of words and inside them, may take two thirds of the vocabulary.
_ALPHABET_SHARE = 3
_LARGEST_ALPHABET = 1000
# Rare words beyond these teach little and cost time.
_DISTINCT_WORDS = 200_000
_LONGEST_WORD_CHARACTERS = 50


def fit_wordpiece(texts: Iterable[str], *, max_length: int, vocabulary_size: int,
                  lowercase: bool = True) -> WordPiecePreprocessing:
    """Learns word pieces: frequent words become one piece, rare ones several, down to characters.

    The texts are normalised by the same graph that serving uses, and read once, a few megabytes at a time: the memory
    grows with the number of different words alone. The pieces are chosen by tensorflow-text's learner.

    Args:
        texts: The training texts; bytes are taken as UTF-8.
        max_length: Tokens that the model will read of each text, with the two special ones, at least 4.
        vocabulary_size: The largest size of the vocabulary with its five special tokens, at least 16.
        lowercase: Whether capitals become small letters and accents are dropped.

    Returns:
        The preprocessing; its vocabulary is special tokens, characters, characters inside words (with "##"), and
        pieces by falling frequency. It does not depend on the order of the texts.

    Raises:
        ArgumentError: A number is too small, one string instead of several, or an element that is no string.
        DataError: The texts have no words.
        MissingDependencyError: tensorflow-text is not installed.
    """
    if vocabulary_size < 16:
        raise ArgumentError(f"`vocabulary_size` must be at least 16. Received: {vocabulary_size}")
    WordPiecePreprocessing(max_length=max_length)  # refuses a length that is too small before the texts are read
    try:
        from tensorflow_text.tools.wordpiece_vocab import wordpiece_tokenizer_learner_lib as learner
    except ImportError as error:
        raise MissingDependencyError("tensorflow_text", "hub", "Learning word pieces") from error
    counts = count_words(texts, lambda chunk: tf.strings.split(normalised(chunk, lowercase=lowercase)))
    frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_DISTINCT_WORDS]
    frequent = [(word, count) for word, count in frequent if len(word) <= _LONGEST_WORD_CHARACTERS]
    if not frequent:
        raise DataError(f"The texts have no words of at most {_LONGEST_WORD_CHARACTERS} characters "
                        f"({len(counts)} different words were seen). Give more texts.")
    alphabet = min(_LARGEST_ALPHABET, (vocabulary_size - len(_RESERVED)) // _ALPHABET_SHARE)
    # A piece must be this frequent: words that are would else be more than fit in. The learner tries every doubling of
    # its range anew, so it gets a small one; what is too much at its end is cut off.
    least = frequent[vocabulary_size][1] if len(frequent) > vocabulary_size else 1
    pieces: list[str] = learner.learn(frequent, vocabulary_size, list(_RESERVED), lower_thresh=least,
                                      upper_thresh=3 * least + 8, max_unique_chars=alphabet,
                                      max_token_length=_LONGEST_WORD_CHARACTERS)
    return WordPiecePreprocessing(max_length=max_length, vocabulary=_ordered(pieces, vocabulary_size),
                                  lowercase=lowercase)


def _ordered(pieces: list[Any], size: int) -> tuple[str, ...]:
    """The vocabulary cut to its size, characters first, without which frequent words would be unknown."""
    rest = [piece for piece in pieces if piece not in _RESERVED]
    first = [piece for piece in rest if len(piece) == 1]
    inside = [piece for piece in rest if len(piece) == len(_INSIDE) + 1 and piece.startswith(_INSIDE)]
    characters = {*first, *inside}
    return (*_RESERVED, *first, *sorted(inside), *(piece for piece in rest if piece not in characters))[:size]
