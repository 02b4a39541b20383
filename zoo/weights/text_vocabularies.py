"""Vocabularies as checkpoints keep them: vocab.txt, vocab.json with merges.txt, tokenizer.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import ArgumentError, WeightsError
from zoo.spec import BytePairPreprocessing, WordPiecePreprocessing
from zoo.weights.checkpoint_contents import read_json

_END_OF_TEXT = "<|endoftext|>"
# Words with capitals in the vocabulary of a cased BERT: a third. In that of an uncased one: the special tokens.
_CASED_SHARE = 0.01


def word_pieces(vocabulary: tuple[str, ...], *, path: Path, size: int, max_length: int, lowercase: bool,
                special: Mapping[str, str] | None = None) -> WordPiecePreprocessing:
    """Returns the preprocessing of a BERT.

    Args:
        vocabulary: Its pieces by id.
        path: Their file, for messages.
        size: Rows of the model's table of tokens.
        max_length: Tokens that it reads.
        lowercase: Whether it is an uncased one.
        special: Special tokens by their role where they are not "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]".

    Returns:
        The preprocessing.

    Raises:
        WeightsError: The vocabulary does not belong to the model.
    """
    check_size(vocabulary, size, path)
    try:
        tokens: dict[str, Any] = {f"{role}_token": token for role, token in (special or {}).items()}
        return WordPiecePreprocessing(max_length=max_length, vocabulary=vocabulary, lowercase=lowercase, **tokens)
    except ArgumentError as error:
        raise WeightsError(f"{path} is no vocabulary of this checkpoint: {error}") from error


def byte_pairs(vocabulary: tuple[str, ...], merges: tuple[str, ...], *, path: Path, size: int, max_length: int,
               end_of_text: str = _END_OF_TEXT) -> BytePairPreprocessing:
    """Returns the preprocessing of a GPT-2.

    Args:
        vocabulary: Its tokens by id, in GPT-2's alphabet.
        merges: "left right" in the order of learning.
        path: Their file, for messages.
        size: Rows of the model's table of tokens.
        max_length: Tokens that it reads.
        end_of_text: The token that separates texts.

    Returns:
        The preprocessing.

    Raises:
        WeightsError: The vocabulary does not belong to the model.
    """
    check_size(vocabulary, size, path)
    try:
        return BytePairPreprocessing(max_length=max_length, vocabulary=vocabulary, merges=merges,
                                     end_of_text=end_of_text)
    except ArgumentError as error:
        raise WeightsError(f"{path} is no vocabulary of this checkpoint: {error}") from error


def check_size(vocabulary: tuple[str, ...], size: int, path: Path) -> None:
    """Raises WeightsError unless every token of a vocabulary has a row in the model's table."""
    if not vocabulary or len(vocabulary) > size:
        raise WeightsError(f"{path} has {len(vocabulary)} tokens, and the model's table has {size} rows. Put the "
                           "vocabulary there that belongs to the checkpoint.")


def read_lines(path: Path) -> tuple[str, ...]:
    """Reads a text file by lines; a piece of a vocabulary may be any other character that looks like a line's end.

    Args:
        path: The file, in UTF-8.

    Returns:
        The lines without their ends.

    Raises:
        WeightsError: It cannot be read.
    """
    try:
        lines = path.read_bytes().decode("utf-8").replace("\r\n", "\n").split("\n")
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise WeightsError(f"{path} is no text in UTF-8: {error}. Get it again.") from error
    return tuple(lines[:-1] if lines and not lines[-1] else lines)


def read_merges(path: Path) -> tuple[str, ...]:
    """Reads merges.txt (or vocab.bpe): one "left right" per line below a line with the version.

    Args:
        path: The file.

    Returns:
        The merges in their order.

    Raises:
        WeightsError: A line is something else.
    """
    lines = [line for line in read_lines(path) if line.strip()]
    merges = tuple(lines[1:] if lines and lines[0].startswith("#version") else lines)
    wrong = next((line for line in merges if len(line.split(" ")) != 2), None)
    if wrong is not None:
        raise WeightsError(f"{path} must have two tokens in every line. Received: {wrong!r}")
    return merges


def by_id(ids: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """Orders a vocabulary that is stored as token: id.

    Args:
        ids: The id of every token.
        path: The file, for the message.

    Returns:
        The tokens; the position of each is its id.

    Raises:
        WeightsError: The ids are not 0, 1, 2 and so on.
    """
    try:
        ordered = sorted(ids.items(), key=lambda entry: int(entry[1]))
        numbers = [int(number) for _, number in ordered]
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{path} must give each token a whole number: {error}") from error
    if numbers != list(range(len(numbers))):
        raise WeightsError(f"The ids in {path} must run from 0 to {len(numbers) - 1} without a gap.")
    return tuple(token for token, _ in ordered)


def looks_cased(vocabulary: tuple[str, ...]) -> bool:
    """Tells from its words whether a vocabulary is a cased one, for formats that do not say so."""
    words = [word for word in vocabulary if not (word.startswith("[") and word.endswith("]"))]
    return sum(word != word.lower() for word in words) > _CASED_SHARE * max(len(words), 1)


# === tokenizer.json ===


def tokenizer_model(path: Path, kind: str) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, Any]]:
    """Reads the vocabulary in a tokenizer.json.

    Args:
        path: The file.
        kind: "WordPiece" or "BPE", which it must hold.

    Returns:
        The tokens by id, the merges ("left right"; none for WordPiece), and the whole file.

    Raises:
        WeightsError: It holds another kind of tokenizer.
    """
    data = read_json(path)
    model = data.get("model")
    if not isinstance(model, dict) or model.get("type", kind) != kind or not isinstance(model.get("vocab"), dict):
        found = model.get("type") if isinstance(model, dict) else None
        raise WeightsError(f"{path} must hold a {kind} tokenizer for this model. Received: {found!r}")
    added = {str(entry["content"]): entry["id"] for entry in data.get("added_tokens") or ()
             if isinstance(entry, dict) and {"content", "id"} <= entry.keys()}
    merges = tuple(merge if isinstance(merge, str) else " ".join(map(str, merge)) for merge in model.get("merges", ()))
    return by_id({**added, **model["vocab"]}, path), merges, data
