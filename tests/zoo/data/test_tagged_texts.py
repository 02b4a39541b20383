"""Tagged words: both formats give the same, tags stand at first pieces, and nothing is lost in silence."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tests.zoo.data.sample_files import lines
from zoo.data.tagged_texts import load_tagged_texts
from zoo.errors import ArgumentError, DataError
from zoo.spec import TextPreprocessing, WordPiecePreprocessing

SPEC = WordPiecePreprocessing(max_length=12, vocabulary=(
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "anna", "lives", "in", "ber", "##lin", "new", "york", ".", "s", "'"))
SENTENCES = [([*("Anna", "lives"), *("in",) * (1 + i % 4), city, "."],
              [*("B-PER", "O"), *("O",) * (1 + i % 4), "B-LOC", "O"])
             for i, city in enumerate(["Berlin", "York", "New York", "Berlin's"] * 5)]


def _conll(path: Path) -> Path:
    rows = [f"{word}\t{tag}" for words, tags in SENTENCES for word, tag in [*zip(words, tags, strict=True), ("", "")]]
    return lines(path, ["-DOCSTART- -X- O", "", *(row.strip() for row in rows)])


def _jsonl(path: Path) -> Path:
    return lines(path, [json.dumps({"tags": tags, "tokens": words}) for words, tags in SENTENCES])


def test_both_formats_give_the_same(tmp_path: Path) -> None:
    """CoNLL and JSON lines of the same sentences: equal tags, parts, inputs, targets and fingerprint."""
    conll = load_tagged_texts(_conll(tmp_path / "a.conll"), SPEC, keep_duplicates=True)
    objects = load_tagged_texts(_jsonl(tmp_path / "a.jsonl"), SPEC, keep_duplicates=True)
    assert conll.labels == objects.labels == ("O", "B-LOC", "B-PER")
    assert (conll.fingerprint, conll.target_kind) == (objects.fingerprint, "tokens")
    for (a, x), (b, y) in zip(conll.train.batches(5), objects.train.batches(5), strict=True):
        assert (x.numpy() == y.numpy()).all()
        for name in ("token_ids", "segment_ids", "padding_mask"):
            assert (a[name].numpy() == b[name].numpy()).all()


def test_the_first_piece_of_each_word_has_its_tag(tmp_path: Path) -> None:
    """Every word of a sentence is a target once, in order; other pieces, special tokens and padding are none."""
    data = load_tagged_texts(_jsonl(tmp_path / "a.jsonl"), dataclasses.replace(SPEC, max_length=16),
                             keep_duplicates=True, validation_fraction=0.0, test_fraction=0.0)
    at = 0
    for inputs, targets in data.train.batches(7):
        ids, mask, target = (tensor.numpy() for tensor in (inputs["token_ids"], inputs["padding_mask"], targets))
        assert ids.shape == target.shape
        assert (target[mask == 0] == -1).all()
        for row, tags in zip(ids, target, strict=True):
            words, expected = SENTENCES[at]
            assert [data.labels[tag] for tag in tags if tag >= 0] == expected
            firsts = [SPEC.vocabulary[piece] for piece, tag in zip(row, tags, strict=True) if tag >= 0]
            assert [word.lower()[:3] for word in words] == [piece[:3] for piece in firsts]
            at += 1
    assert at == len(SENTENCES)


def test_long_sentences_lose_their_end_only(tmp_path: Path) -> None:
    """Beyond the model's length words have no target, and nothing before them shifts."""
    path = lines(tmp_path / "a.tsv", ["new\tA", "york\tB"] * 20)
    data = load_tagged_texts(path, SPEC, validation_fraction=0.0, test_fraction=0.0)
    inputs, targets = next(iter(data.train.batches(1)))
    assert inputs["token_ids"].shape == (1, 12)
    assert targets.numpy().tolist() == [[-1, *([0, 1] * 5), -1]]


def test_given_parts_and_broken_sentences(tmp_path: Path) -> None:
    """train, dev and test files keep their parts; sentences that cannot be used are reported with their line."""
    _conll(tmp_path / "train.conll")
    lines(tmp_path / "dev.conll", ["Anna B-PER", "", "nothing", ""])
    lines(tmp_path / "test.jsonl", ['{"tokens": ["Anna"], "tags": ["B-PER", "O"]}',
                                    '{"tokens": ["in"], "tags": ["O"]}'])
    data = load_tagged_texts(tmp_path, SPEC)
    assert data.validation is not None
    assert data.test is not None
    assert (data.validation.count, data.test.count) == (1, 1)
    details = {Path(entry.source).name: entry.detail for entry in data.report.excluded if entry.reason == "unreadable"}
    assert details == {"dev.conll:3": "the line 'nothing' has no tag", "test.jsonl:1": "1 tokens and 2 tags"}


@pytest.mark.parametrize(("rows", "arguments", "error", "message"), [
    (["a\tO"], {}, DataError, "has only the tag O"),
    (["a\tO", "b\tB-X"], {"labels": ("O", "B-Y")}, DataError, "has the tag 'B-X', which the model does not know"),
    (["a\tO"], {"preprocessing": TextPreprocessing(max_length=3)}, ArgumentError, "reads word pieces"),
    ([], {}, DataError, "has no readable example"),
])
def test_what_cannot_be_used(rows: list[str], arguments: dict[str, object], error: type[Exception], message: str,
                             tmp_path: Path) -> None:
    """One clear line for each."""
    path = lines(tmp_path / "a.conll", rows)
    with pytest.raises(error, match=message):
        load_tagged_texts(path, **{"preprocessing": SPEC, **arguments})  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"has the ending '\.pdf'"):
        load_tagged_texts(lines(tmp_path / "a.pdf", ["x"]), SPEC)


def test_a_vocabulary_is_learnt_from_the_training_part(tmp_path: Path) -> None:
    """Without one, pieces of the words are learnt, and every word has a target."""
    data = load_tagged_texts(_conll(tmp_path / "a.conll"), WordPiecePreprocessing(max_length=16), max_words=60,
                             keep_duplicates=True)
    assert isinstance(data.preprocessing, WordPiecePreprocessing)
    assert 20 < len(data.preprocessing.vocabulary) <= 60
    counts = [int((row >= 0).sum()) for _, targets in data.train.batches(4) for row in np.asarray(targets)]
    assert min(counts) >= 5
