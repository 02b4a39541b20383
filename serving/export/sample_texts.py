"""Made texts to try an export with: words of the model's own vocabulary, short, longer, and too long for it."""

from __future__ import annotations

from typing import Any

from serving.export.raw_inputs import reads_pairs
from zoo.spec import BytePairPreprocessing, ModelRecord, WordPiecePreprocessing

SAMPLES = 3
_WORDS = 64
_SHORTEST_WORD = 3  # letters; shorter ones are pieces in many vocabularies
# Longer ones would make a warm-up of a large model last, and show nothing more.
_MEDIUM_LENGTH, _LONGEST_LENGTH = 24, 64
_SOME_WORDS = ("the", "film", "was", "good", "and", "a", "little", "long")  # where no vocabulary is known
_BLANK = "\u0120"  # how the alphabet of byte pairs writes a blank


def sample_texts(record: ModelRecord) -> list[list[str]]:
    """Makes texts, the same every time.

    Args:
        record: The record of a model that reads texts.

    Returns:
        Lists of `SAMPLES` texts: one, or two where the model reads pairs.
    """
    preprocessing: Any = record.preprocessing
    words, longest = _words(preprocessing), getattr(preprocessing, "max_length", _LONGEST_LENGTH)
    lengths = [min(4, longest), min(max(1, longest // 2), _MEDIUM_LENGTH), min(longest + 2, _LONGEST_LENGTH)]
    firsts = [_text(words, start, length) for start, length in enumerate(lengths)]
    if record.task == "masked_language_model":
        return [[_with_gaps(text, 2 - row, preprocessing.mask_token) for row, text in enumerate(firsts)]]
    if not reads_pairs(record):
        return [firsts]
    return [firsts, [_text(words, start + 7, length) for start, length in enumerate(lengths[::-1])]]


def _words(preprocessing: Any) -> list[str]:
    vocabulary: tuple[str, ...] = getattr(preprocessing, "vocabulary", _SOME_WORDS)
    if isinstance(preprocessing, BytePairPreprocessing):
        vocabulary = tuple(word[1:] for word in vocabulary if word.startswith(_BLANK))
    if isinstance(preprocessing, BytePairPreprocessing | WordPiecePreprocessing):
        vocabulary = tuple(word for word in vocabulary
                           if len(word) >= _SHORTEST_WORD and word.isascii() and word.isalpha())
    return list(vocabulary[:_WORDS]) or ["word"]


def _text(words: list[str], start: int, length: int) -> str:
    return " ".join(words[(start + index) % len(words)] for index in range(length))


def _with_gaps(text: str, gaps: int, gap: str) -> str:
    """The text with its first words replaced."""
    words = text.split(" ")
    return " ".join([gap] * min(gaps, len(words)) + words[gaps:])
