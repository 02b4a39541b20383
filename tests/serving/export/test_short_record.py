"""A vocabulary of thousands of words stands in the manifest by its digest."""

from __future__ import annotations

import hashlib

from serving.export.short_record import short_record
from zoo.spec import BytePairPreprocessing, ModelRecord, Preprocessing, TensorPreprocessing, TextPreprocessing


def record(preprocessing: Preprocessing) -> ModelRecord:
    return ModelRecord(name="m", input_kind="text", task="classification", preprocessing=preprocessing,
                       labels=("a", "b"))


def test_words_are_replaced_by_size_and_digest() -> None:
    """The digest is that of a vocab.txt file; everything else stays."""
    words = tuple(f"word{number}é" for number in range(5000))
    short = short_record(record(TextPreprocessing(max_length=7, vocabulary=words)))
    file = "".join(f"{word}\n" for word in words).encode()
    assert short["preprocessing"]["vocabulary"] == {"size": 5000, "sha256": hashlib.sha256(file).hexdigest()}
    assert short["preprocessing"]["max_length"] == 7
    assert short["labels"] == ["a", "b"]
    pairs = short_record(record(BytePairPreprocessing(max_length=3, merges=("a b",))))["preprocessing"]
    assert (pairs["merges"]["size"], pairs["vocabulary"]["size"]) == (1, 0)


def test_other_records_stay() -> None:
    """Without words there is nothing to shorten."""
    plain = record(TensorPreprocessing())
    assert short_record(plain) == plain.to_dict()
