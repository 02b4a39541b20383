"""Runs a model that says something of every token over a split, and keeps no more of it than the figures need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.errors import ArgumentError, DataError
from zoo.evaluation.measurement import Floats, Integers
from zoo.evaluation.predictions import EvaluationSplit, Progress, checked_split, compiled

LANGUAGE_TASKS = ("language_model", "masked_language_model")
TOKEN_TASKS = ("token_classification", *LANGUAGE_TASKS)


@dataclass(frozen=True, eq=False)
class TagPredictions:
    """What a model said of every token with a target, T in all.

    Attributes:
        example: Which example each token is in, int64 [T], rising.
        place: Which of the example's tokens with a target it is, from 0, int64 [T].
        targets: True class, int64 [T].
        predicted: Most probable class, int64 [T].
        confidence: Its probability, [T].
        truth: Probability of the true class, [T].
        sources: Where each example came from, N strings.
    """

    example: Integers
    place: Integers
    targets: Integers
    predicted: Integers
    confidence: Floats
    truth: Floats
    sources: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class TokenLosses:
    """How well a language model told the tokens of each example, [N] each.

    Attributes:
        nats: Sum of -ln(probability given to the true token).
        tokens: Tokens that were asked for.
        right: Those of them that were the most probable.
        characters: Characters that they stand for, and `bytes` the bytes; 0 where that is not known.
        nats_by_place: Sum of the nats at each place of a block, [L], and `tokens_by_place` how many they are.
        sources: Where each example came from, N strings.
    """

    nats: Floats
    tokens: Floats
    right: Floats
    characters: Floats
    bytes: Floats
    nats_by_place: Floats
    tokens_by_place: Floats
    sources: tuple[str, ...]


def predict_tags(model: Any, split: EvaluationSplit | None, *, batch_size: int,
                 progress: Progress | None = None) -> TagPredictions:
    """Collects what a token classification says.

    Args:
        model: A model with one output, probabilities [N, L, C].
        split: Batches with targets int [N, L], -1 where nothing is asked.
        batch_size: Examples per step.
        progress: Called after every batch.

    Raises:
        ArgumentError: The model does not fit.
        DataError: No examples, no targets, or predictions that are not finite.
    """
    split, sources = checked_split(split, batch_size)
    columns: list[tuple[np.ndarray, ...]] = []
    done = 0
    for outputs, targets in _answers(model, split, batch_size):
        if outputs.shape[:2] != targets.shape:
            raise ArgumentError(f"A token classification answers [examples, tokens, tags] for targets of the shape "
                                f"{targets.shape}. Received: {outputs.shape}")
        row, column = np.nonzero(targets >= 0)
        said, true = outputs[row, column], targets[row, column].astype(np.int64)
        _check(said, true, sources[done])
        place = np.cumsum(targets >= 0, axis=1)[row, column] - 1
        every = np.arange(len(said))
        predicted = said.argmax(axis=1)
        columns.append((row + done, place, true, predicted, said[every, predicted].astype(np.float64),
                        said[every, true].astype(np.float64)))
        done += len(targets)
        _tell(progress, done, len(sources))
    joined = [np.concatenate(parts) for parts in zip(*columns, strict=True)]
    if not len(joined[0]):
        raise DataError("No token of the split has a target, so there is nothing to evaluate.")
    example, place, true, predicted, confidence, truth = joined
    return TagPredictions(example, place, true, predicted, confidence, truth, sources)


def measure_tokens(model: Any, split: EvaluationSplit | None, *, batch_size: int,
                   sizes: tuple[np.ndarray, np.ndarray] | None = None,
                   progress: Progress | None = None) -> TokenLosses:
    """Collects how well a language model tells the tokens; the logits never leave the graph.

    Args:
        model: A model with one output, logits [N, L, V].
        split: Batches with targets int [N, L], -1 where nothing is asked.
        batch_size: Examples per step.
        sizes: Characters and bytes that each token id stands for, [V] each; None where that is not known.
        progress: Called after every batch.

    Raises:
        ArgumentError: The model does not fit.
        DataError: No examples, no targets, or losses that are not finite.
    """
    split, sources = checked_split(split, batch_size)
    sums: list[tuple[np.ndarray, ...]] = []
    by_place = np.zeros((2, 0))
    done = 0
    for nats, right, targets in _losses(model, split, batch_size):
        asked = targets >= 0
        if not np.isfinite(nats).all():
            raise DataError(f"The predictions for {sources[done]} or an example behind it are not finite numbers. Look "
                            "for a training run that diverged.")
        of_text = [np.where(asked, size[np.where(asked, targets, 0)], 0).sum(axis=1) for size in sizes] \
            if sizes else [np.zeros(len(targets))] * 2
        sums.append((nats.sum(axis=1, dtype=np.float64), asked.sum(axis=1).astype(np.float64),
                     right.sum(axis=1).astype(np.float64), *(np.asarray(size, np.float64) for size in of_text)))
        by_place = _added(by_place, np.stack([nats.sum(axis=0, dtype=np.float64), asked.sum(axis=0)]))
        done += len(targets)
        _tell(progress, done, len(sources))
    nat_sums, tokens, rights, characters, size = (np.concatenate(parts) for parts in zip(*sums, strict=True))
    if not tokens.sum():
        raise DataError("No token of the split has a target, so there is nothing to evaluate.")
    return TokenLosses(nat_sums, tokens, rights, characters, size, by_place[0], by_place[1], sources)


# === Running ===


def _answers(model: Any, split: EvaluationSplit, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    batches = split.batches(batch_size)
    step = compiled(model, batches.element_spec[0])
    for inputs, targets in batches:
        yield step(inputs).numpy(), np.asarray(targets)


def _losses(model: Any, split: EvaluationSplit,
            batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    batches = split.batches(batch_size)
    step = compiled(model, batches.element_spec[0])

    @tf.function(reduce_retracing=True, jit_compile=False, autograph=False)  # type: ignore[untyped-decorator]
    def losses(inputs: Any, targets: Any) -> tuple[Any, Any]:
        logits = step(inputs)
        if logits.shape.rank != 3:
            raise ArgumentError(f"A language model answers [examples, tokens, vocabulary]. Received: {logits.shape}")
        asked = targets >= 0
        index = tf.where(asked, targets, 0)
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(index, logits)
        right = tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), index)
        return tf.where(asked, nats, 0.0), asked & right

    for inputs, targets in batches:
        nats, right = losses(inputs, targets)
        yield nats.numpy(), right.numpy(), targets.numpy()


def _check(said: np.ndarray, true: np.ndarray, source: str) -> None:
    if not np.isfinite(said).all():
        raise DataError(f"The predictions for {source} or an example behind it are not finite numbers. Look for a "
                        "training run that diverged.")
    if len(true) and true.max() >= said.shape[1]:
        raise DataError(f"A target is the class {int(true.max())}, and the model knows {said.shape[1]}. The data and "
                        "the model must have the same tags.")


def _added(total: np.ndarray, more: np.ndarray) -> np.ndarray:
    width = max(total.shape[1], more.shape[1])
    return sum(np.pad(part, [(0, 0), (0, width - part.shape[1])]) for part in (total, more))  # type: ignore[return-value]


def _tell(progress: Progress | None, done: int, count: int) -> None:
    if progress is not None:
        progress(done, count)
