"""How a model's output becomes the answer of a signature, by its task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from serving.errors import ExportError
from serving.export.length_groups import in_length_groups
from serving.export.ranking import best_classes, decided_class, label_names
from serving.export.raw_inputs import TRUNCATED_OUTPUT, in_order, prepared, reads_pairs
from serving.export.servable_module import Forward
from serving.export.text_answers import filled_masks, labelled_words
from zoo.preprocessing.transform import Transform
from zoo.spec import ModelRecord, WordPiecePreprocessing

RANKED_TASKS = ("classification", "binary_classification")
# Tasks whose answer needs to know the words, and so WordPieces.
_WORD_TASKS = ("token_classification", "masked_language_model")
_MASK = "padding_mask"


@dataclass(frozen=True)
class Answers:
    """How the model's output becomes the answer of a signature.

    Attributes:
        forward: The traced model.
        record: Its record.
        names: The label of each class; empty for tasks without classes.
        top_k: How many labels or words an answer has; None for tasks that rank nothing.
    """

    forward: Forward
    record: ModelRecord
    names: tuple[str, ...]
    top_k: int | None

    @classmethod
    def of(cls, forward: Forward, record: ModelRecord, top_k: int) -> Answers:
        """Checks the model's output against its task.

        Raises:
            ExportError: Output, labels, preprocessing or `top_k` do not fit the task.
        """
        if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
            raise ExportError(f"`top_k` must be at least 1 label. Received: {top_k!r}")
        if record.task in _WORD_TASKS:
            return cls._of_words(forward, record, top_k)
        if record.task not in RANKED_TASKS:
            return cls(forward, record, (), None)
        shape = forward.outputs["probabilities"].shape.as_list()
        binary = record.task == "binary_classification"
        if len(shape) != 2 or shape[1] is None or (binary and shape[1] != 1):
            raise ExportError(f"A model for {record.task} gives probabilities [N, {'1' if binary else 'classes'}]. "
                              f"Received an output of shape {shape}.")
        names = label_names(record.labels, 2 if binary else shape[1])
        return cls(forward, record, names, 2 if binary else min(top_k, len(names)))

    @classmethod
    def _of_words(cls, forward: Forward, record: ModelRecord, top_k: int) -> Answers:
        (name, output), = forward.outputs.items()
        shape = output.shape.as_list()
        if len(shape) != 3 or shape[2] is None:
            raise ExportError(f"A model for {record.task} gives {name} [N, tokens, "
                              f"{'classes' if name == 'probabilities' else 'words'}]. Received an output of shape "
                              f"{shape}.")
        if reads_pairs(record):
            raise ExportError(f"A model for {record.task} reads single texts. Received a preprocessing for pairs; "
                              "give it one with pair=False.")
        if record.task == "token_classification":
            return cls(forward, record, label_names(record.labels, shape[2]), None)
        preprocessing = record.preprocessing
        if isinstance(preprocessing, WordPiecePreprocessing):
            _check_gap(preprocessing, shape[2])
        return cls(forward, record, (), min(top_k, shape[2]))

    def plain(self, tensors: list[Any]) -> dict[str, Any]:
        """The model's outputs as they are."""
        return dict(self.forward.call(*tensors))

    def ranked(self, tensors: list[Any]) -> dict[str, Any]:
        """Labels, scores and indices for a classifier, the outputs as they are for other tasks."""
        return self._ranked(self.plain(tensors))

    def _ranked(self, outputs: dict[str, Any]) -> dict[str, Any]:
        if self.record.task not in RANKED_TASKS or self.top_k is None:
            return outputs
        probabilities = outputs["probabilities"]
        if self.record.task == "binary_classification":
            labels, scores, indices = decided_class(probabilities, self.names, self.record.threshold)
        else:
            labels, scores, indices = best_classes(probabilities, self.names, self.top_k)
        return {"labels": labels, "scores": scores, "indices": indices}

    def to_raw(self, transform: Transform, raw: Sequence[Any]) -> dict[str, Any]:
        """The answer to what the preprocessing takes: pictures, texts or columns, in the order of `raw_specs`."""
        if self.record.task == "token_classification":
            return self._labelled(transform, raw[0])
        tensors, known = prepared(transform, self.record, self.forward, raw)
        return self._answer(transform, tensors) | known

    def _labelled(self, transform: Any, texts: Any) -> dict[str, Any]:
        made, truncated, pieces = transform.with_words(texts)
        probabilities = self.plain(in_order(made, self.forward))["probabilities"]
        return labelled_words(probabilities, pieces, texts, self.names) | {TRUNCATED_OUTPUT: truncated}

    def _answer(self, transform: Any, tensors: list[Any]) -> dict[str, Any]:
        if self.record.task == "masked_language_model" and self.top_k is not None:
            token_ids = dict(zip(self.forward.inputs, tensors, strict=True))["token_ids"]
            return filled_masks(self.plain(tensors)["logits"], token_ids, transform.mask_id, transform.spec.vocabulary,
                                self.top_k)
        return self._ranked(self._by_length(tensors) if self._is_of_texts() else self.plain(tensors))

    def _by_length(self, tensors: list[Any]) -> dict[str, Any]:
        """As `plain`, with rows of different lengths computed apart where that saves time."""
        mask = dict(zip(self.forward.inputs, tensors, strict=True))[_MASK]
        return in_length_groups(self.forward.call, self.forward.outputs, tensors, tf.reduce_sum(mask, axis=1))

    def _is_of_texts(self) -> bool:
        """Whether the model reads tokens with a mask of padding, of any number, and gives a fixed number of values."""
        return (_MASK in self.forward.inputs
                and all(spec.shape.rank == 2 and spec.shape[1] is None for spec in self.forward.inputs.values())
                and all(spec.shape.rank == 2 and spec.shape[1] is not None for spec in self.forward.outputs.values()))


def _check_gap(preprocessing: WordPiecePreprocessing, words: int) -> None:
    vocabulary, gap = preprocessing.vocabulary, preprocessing.mask_token
    if gap not in vocabulary:
        raise ExportError(f"A masked language model needs the word {gap!r} in its vocabulary, which has "
                          f"{len(vocabulary)} others. Give it the vocabulary that it was trained with.")
    if len(vocabulary) != words:
        raise ExportError(f"The model has {words} words and its vocabulary {len(vocabulary)}. Give it the vocabulary "
                          "that it was trained with.")
