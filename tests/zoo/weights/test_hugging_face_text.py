"""Tokenizers as Hugging Face stores them, and defaults where a file says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.zoo.weights.foreign_checkpoints import TOKENS, WORDS, write_json
from zoo.errors import WeightsError
from zoo.spec import BytePairPreprocessing, WordPiecePreprocessing
from zoo.weights.hugging_face_text import read_preprocessing


def read(family: str, folder: Path, positions: int = 64) -> Any:
    return read_preprocessing(family, folder, folder, size=40, positions=positions)


def test_vocab_txt_alone(tmp_path: Path) -> None:
    """Without a configuration, the words tell the case, and the table of positions the length."""
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    assert read("bert", tmp_path) == WordPiecePreprocessing(max_length=64, vocabulary=tuple(WORDS), lowercase=True)
    (tmp_path / "vocab.txt").write_text("\r\n".join(word.replace("word", "Word") for word in WORDS))
    assert not read("bert", tmp_path).lowercase


def test_a_piece_may_look_like_the_end_of_a_line(tmp_path: Path) -> None:
    """Multilingual vocabularies hold U+2028 and U+0085, which are no line ends there."""
    words = [*WORDS[:-2], "\u2028", "\u0085"]
    (tmp_path / "vocab.txt").write_bytes("\n".join(words).encode() + b"\n")
    assert read("bert", tmp_path).vocabulary == tuple(words)


@pytest.mark.parametrize(("config", "expected"), [
    ({"do_lower_case": False}, {"lowercase": False, "max_length": 64}),
    ({"do_lower_case": True, "model_max_length": 32}, {"lowercase": True, "max_length": 32}),
    ({"model_max_length": 10**30}, {"lowercase": True, "max_length": 64}),
    ({"unk_token": {"content": "word0"}, "cls_token": "word1"}, {"unknown_token": "word0", "classify_token": "word1"}),
    ({"do_lower_case": True, "strip_accents": True}, {"lowercase": True})])
def test_the_configuration_decides(tmp_path: Path, config: dict[str, Any], expected: dict[str, Any]) -> None:
    """Case, length and special tokens are those of tokenizer_config.json."""
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    write_json(tmp_path / "tokenizer_config.json", config)
    found = read("bert", tmp_path)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(("config", "message"), [
    ({"do_lower_case": True, "strip_accents": False}, "strip_accents=False with do_lower_case=True"),
    ({"do_lower_case": False, "tokenize_chinese_chars": False}, "keeps Chinese characters together")])
def test_what_no_transform_does_is_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    """Other tokens than the model was trained with would be silent nonsense."""
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    write_json(tmp_path / "tokenizer_config.json", config)
    with pytest.raises(WeightsError, match=message):
        read("bert", tmp_path)


def test_tokenizer_json_stands_for_the_vocabulary(tmp_path: Path) -> None:
    """Newer folders have no vocab.txt; the case is that of the normalizer."""
    ids = {word: number for number, word in enumerate(WORDS)}
    write_json(tmp_path / "tokenizer.json", {"model": {"type": "WordPiece", "vocab": ids},
                                             "normalizer": {"type": "BertNormalizer", "lowercase": False},
                                             "added_tokens": [{"id": 0, "content": "[PAD]"}]})
    assert read("bert", tmp_path) == WordPiecePreprocessing(max_length=64, vocabulary=tuple(WORDS), lowercase=False)


@pytest.mark.parametrize("as_lists", [False, True])
def test_byte_pairs(tmp_path: Path, as_lists: bool) -> None:
    """vocab.json with merges.txt, or tokenizer.json with merges as texts or as pairs, give the same."""
    ids = {word: number for number, word in enumerate(TOKENS[:-1])}
    merges = ["! \"", "# $"]
    expected = BytePairPreprocessing(max_length=64, vocabulary=tuple(TOKENS), merges=tuple(merges))
    write_json(tmp_path / "tokenizer.json", {
        "model": {"type": "BPE", "vocab": ids, "merges": [merge.split() for merge in merges] if as_lists else merges},
        "added_tokens": [{"id": 39, "content": "<|endoftext|>"}]})
    assert read("gpt2", tmp_path) == expected
    write_json(tmp_path / "vocab.json", ids)
    write_json(tmp_path / "added_tokens.json", {"<|endoftext|>": 39})
    (tmp_path / "merges.txt").write_text("#version: 0.2\n! \"\n# $\n\n")
    assert read("gpt2", tmp_path) == expected


@pytest.mark.parametrize(("vocabulary", "merges", "message"), [
    ({"a": 0, "b": 2}, "", "must run from 0 to 1 without a gap"),
    ({"a": "x"}, "", "must give each token a whole number"),
    ({"a": 0, "<|endoftext|>": 1}, "a b c\n", "two tokens in every line. Received: 'a b c'"),
    ({"a": 0}, "", "lacks the token '<|endoftext|>'")])
def test_broken_byte_pairs(tmp_path: Path, vocabulary: Any, merges: str, message: str) -> None:
    """Each fault is one line."""
    write_json(tmp_path / "vocab.json", vocabulary)
    (tmp_path / "merges.txt").write_text(merges)
    with pytest.raises(WeightsError, match=message):
        read("gpt2", tmp_path)


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    """A SentencePiece model in tokenizer.json is no WordPiece."""
    write_json(tmp_path / "tokenizer.json", {"model": {"type": "Unigram", "vocab": []}})
    with pytest.raises(WeightsError, match=r"must hold a WordPiece tokenizer for this model\. Received: 'Unigram'"):
        read("bert", tmp_path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A vocabulary in another encoding, or a binary file."""
    (tmp_path / "vocab.txt").write_bytes(b"[PAD]\n\xff\xfe\n")
    with pytest.raises(WeightsError, match="is no text in UTF-8"):
        read("bert", tmp_path)
