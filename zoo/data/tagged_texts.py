"""Sentences whose words have tags (names, parts of speech), for token classification."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data.cleaning import Exclusion
from zoo.data.fingerprints import DIGEST_BYTES, content_digest
from zoo.data.labelled import Examples, LabelledData, Lazy
from zoo.data.planning import Found, SplitPlan, plan_split
from zoo.data.rows import Row, RowError, RowIndex
from zoo.data.splitting import SplitFractions
from zoo.data.tagged_files import open_tagged, words_and_tags
from zoo.data.text_encoding import for_texts, learnt
from zoo.errors import ArgumentError, DataError
from zoo.preprocessing.wordpiece import WordPieceTransform
from zoo.spec import WordPiecePreprocessing

NO_TARGET = -1
_PADDING = 2**31 - 1
_READ_AT_ONCE = 256


def load_tagged_texts(path: str | Path, preprocessing: WordPiecePreprocessing, *, max_words: int | None = None,
                      validation_fraction: float = 0.15, test_fraction: float = 0.15, seed: int = 0,
                      keep_duplicates: bool = False, labels: Sequence[str] | None = None) -> LabelledData:
    """Checks and splits tagged sentences; they are read from their files as training goes on.

    The words of a sentence are joined by blanks and cut into pieces. The first piece of each word has the word's tag
    as its target; the other pieces, the special tokens and the padding have none (-1).

    Args:
        path: A CoNLL file (a word and its tag per line, separated by a tab or blanks, of more columns the first and
            the last; a blank line between sentences), a JSON lines file of {"tokens": [...], "tags": [...]}, or a
            folder with train, validation (val, dev) and test files of these kinds: then this split is kept.
        preprocessing: How a sentence becomes word pieces. A vocabulary that is missing is learnt from the training
            part only.
        max_words: Size of a learnt vocabulary; None takes 8,000 word pieces.
        validation_fraction: Fraction of the sentences in [0, 1) to choose by; 0 for no validation part.
        test_fraction: Fraction of the sentences in [0, 1) to judge by; 0 for no test part.
        seed: Chooses the sentences of the parts.
        keep_duplicates: Uses equal sentences nevertheless; by default the first of each is used.
        labels: Tags in the order of the class index; None takes all that occur, sorted, "O" first.

    Returns:
        Inputs as word pieces, a dict of int32 [B, L]; targets int32 [B, L]. `labels` are the tags.

    Raises:
        ArgumentError: An argument out of range, or another kind of preprocessing.
        DataError: Missing or empty files, fewer than two tags, or a tag that is not among `labels`.
    """
    if not isinstance(preprocessing, WordPiecePreprocessing):
        raise ArgumentError("Tagged words need a model that reads word pieces (the BERT family). Received: "
                            f"{type(preprocessing).__name__}")
    fractions = SplitFractions(validation=validation_fraction, test=test_fraction, seed=seed)
    scan = _Scan(Path(path).expanduser())
    names = _labels(scan, labels)
    plan = plan_split(scan.found(names), fractions, keep_duplicates=keep_duplicates)
    return _labelled(plan, scan, names, preprocessing, max_words)


def _labels(scan: _Scan, labels: Sequence[str] | None) -> tuple[str, ...]:
    names = tuple(labels) if labels is not None else tuple(sorted(scan.tags, key=lambda tag: (tag != "O", tag)))
    unknown = sorted(scan.tags - set(names))
    if unknown:
        raise DataError(f"{scan.path} has the tag {unknown[0]!r}, which the model does not know. It knows: "
                        f"{', '.join(names[:30])}.")
    if len(names) < 2 and scan.digests:
        raise DataError(f"{scan.path} has only the tag {', '.join(names)}, expected at least two.")
    return names


class _Scan:
    """What one pass over the files collects: less than 100 bytes per sentence."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = RowIndex(open_tagged(path))
        self.tags: set[str] = set()
        self.lengths = array("i")
        self.digests = bytearray()
        self._checked = 0
        self._excluded: list[Exclusion] = []
        for number, file in enumerate(self.rows.files):
            for row in file.rows():
                self._add(number, row)

    def _add(self, number: int, row: Row) -> None:
        self._checked += 1
        try:
            if row.problem:
                raise RowError(row.problem)
            words, tags = words_and_tags(row.fields)
        except RowError as error:
            self._excluded.append(Exclusion(f"{self.rows.files[number].path}:{row.line}", "unreadable", str(error)))
            return
        if not words:
            self._excluded.append(Exclusion(f"{self.rows.files[number].path}:{row.line}", "empty", "no words"))
            return
        self.tags.update(tags)
        self.rows.add(number, row)
        self.lengths.append(sum(map(len, words)))
        self.digests += content_digest(json.dumps([words, tags]).encode())

    def found(self, labels: tuple[str, ...]) -> Found:
        """Returns the readable sentences; each word has a target of its own, so those of the plan are all 0."""
        count = len(self.rows)
        return Found(where=str(self.path), names=Lazy(count, self.rows.name),
                     digests=np.frombuffer(bytes(self.digests), f"S{DIGEST_BYTES}"),
                     targets=np.zeros((count, 1), np.float32), labels=labels, given=self.rows.parts(),
                     checked=self._checked, excluded=tuple(self._excluded))

    def read(self, indices: np.ndarray) -> list[tuple[list[str], list[str]]]:
        """Reads the words and tags of sentences."""
        return [words_and_tags(fields) for fields in self.rows.read(indices, (0, 1))]


# === Words to pieces ===


def _labelled(plan: SplitPlan, scan: _Scan, labels: tuple[str, ...], preprocessing: WordPiecePreprocessing,
              max_words: int | None) -> LabelledData:
    chunks = np.array_split(plan.train, -(-len(plan.train) // _READ_AT_ONCE))
    texts = (" ".join(words) for chunk in chunks for words, _ in scan.read(chunk))
    chosen = learnt(for_texts(preprocessing, texts=1), texts, max_words)
    assert isinstance(chosen, WordPiecePreprocessing)  # `learnt` returns the kind that it is given
    transform = WordPieceTransform(chosen)
    read = _reader(scan, {label: index for index, label in enumerate(labels)})

    def load(indices: Any) -> Any:
        texts, starts, tags = tf.numpy_function(read, [indices], [tf.string, tf.int32, tf.int32], stateful=False)
        texts = tf.ensure_shape(texts, [None])
        inputs = transform.batch(texts)
        pieces = transform.words(texts).starts
        targets = first_piece_targets(pieces, tf.ensure_shape(starts, [None, None]),
                                      tf.ensure_shape(tags, [None, None]))
        # The special token in front; behind come the separator and the padding.
        length = tf.shape(inputs["token_ids"])[1]
        return inputs, tf.pad(targets, [[0, 0], [1, length - 1 - tf.shape(targets)[1]]], constant_values=NO_TARGET)

    examples = Examples(load=load, batched=True, targets=plan.found.targets, names=plan.found.names,
                        lengths=np.frombuffer(scan.lengths, np.int32),
                        own_targets=lambda loaded, indices, seed: loaded)
    return plan.labelled(examples, chosen)


def _reader(scan: _Scan, index_of: dict[str, int]) -> Callable[[np.ndarray], list[np.ndarray]]:
    def read(indices: np.ndarray) -> list[np.ndarray]:
        """Returns the texts, and for each word its first byte and its tag, filled up to the longest sentence."""
        sentences = scan.read(indices)
        longest = max((len(words) for words, _ in sentences), default=0)
        starts = np.full((len(sentences), longest), _PADDING, np.int32)
        targets = np.full((len(sentences), longest), NO_TARGET, np.int32)
        texts = np.empty(len(sentences), object)
        for place, (words, tags) in enumerate(sentences):
            encoded = [word.encode("utf-8") for word in words]
            texts[place] = b" ".join(encoded)
            starts[place, :len(words)] = np.cumsum([0, *(len(word) + 1 for word in encoded[:-1])])
            targets[place, :len(words)] = [index_of[tag] for tag in tags]
        return [texts, starts, targets]

    return read


def first_piece_targets(pieces: Any, words: Any, tags: Any) -> Any:
    """Gives each word's tag to its first piece.

    Args:
        pieces: First byte of each piece, int32 [N, (pieces)], ragged.
        words: First byte of each word, int32 [N, W], filled with the largest integer.
        tags: Tag of each word, int32 [N, W].

    Returns:
        int32 [N, P]: the tag, or -1 for pieces inside of words and for what fills up the row.
    """
    dense = pieces.to_tensor(default_value=-1)
    word = tf.searchsorted(words, dense, side="right") - 1
    before = tf.pad(word[:, :-1], [[0, 0], [1, 0]], constant_values=-1)
    # A row of no pieces has no column 0 to pad.
    first = (word != before[:, :tf.shape(word)[1]]) & (dense >= 0)
    return tf.where(first, tf.gather(tags, tf.maximum(word, 0), batch_dims=1), NO_TARGET)
