"""Judges models that say something of every token: tags of words, language models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import ArgumentError
from zoo.evaluation.classification_metrics import ClassResult
from zoo.evaluation.confusion import confusion_of
from zoo.evaluation.entities import count_entities, entity_results, has_entities
from zoo.evaluation.glossary import rank_of
from zoo.evaluation.measurement import Metric, Statistic, measure
from zoo.evaluation.mistakes import WrongClass, worst_classes
from zoo.evaluation.predictions import EvaluationSplit, Progress
from zoo.evaluation.report import EvaluationReport
from zoo.evaluation.token_metrics import EntityRates, LanguageRates, TagRates
from zoo.evaluation.token_predictions import LANGUAGE_TASKS, TagPredictions, measure_tokens, predict_tags
from zoo.preprocessing.byte_alphabet import token_bytes
from zoo.spec import BytePairPreprocessing, record_of

_LINE = re.compile(r"(?P<file>.+):(?P<line>[1-9][0-9]*)")
_ONE_OBJECT_PER_LINE = (".jsonl", ".ndjson")


def evaluate_tokens(model: Any, split: EvaluationSplit | None, *, labels: Sequence[str], task: str, batch_size: int,
                    bootstrap_samples: int, seed: int, mistakes: int,
                    progress: Progress | None = None) -> EvaluationReport:
    """Runs a model over a split of token targets and measures its answers; see `zoo.evaluation.evaluate`.

    The intervals resample whole examples, because the tokens of a text belong together.

    Args:
        model: A keras.Model with one output.
        split: The examples.
        labels: The tags in the order of the model's output; ignored for language models.
        task: "token_classification", "language_model" or "masked_language_model".
        batch_size: Examples per step.
        bootstrap_samples: Resamples for the intervals; 0 for none.
        seed: Seed of the resamples.
        mistakes: How many of the worst mistakes to keep.
        progress: Called with (examples done, examples in all).

    Returns:
        The report.

    Raises:
        ArgumentError: The model does not fit the task or the labels.
        DataError: An empty split, or predictions that are not finite.
    """
    if task in LANGUAGE_TASKS:
        return _judge_language(model, split, task, batch_size, bootstrap_samples, seed, progress)
    predictions = predict_tags(model, split, batch_size=batch_size, progress=progress)
    width = int(model.output_shape[-1])
    names = tuple(labels) or tuple(str(index) for index in range(width))
    if len(names) != width:
        raise ArgumentError(f"The model knows {width} tags and {len(names)} labels were given. Evaluate with the "
                            "labels that the model was trained with.")
    return _judge_tags(predictions, names, bootstrap_samples, seed, mistakes)


# === Tags ===


def _judge_tags(predictions: TagPredictions, labels: tuple[str, ...], samples: int, seed: int,
                limit: int) -> EvaluationReport:
    count = len(predictions.sources)
    rates = TagRates.of(predictions, len(labels))
    statistics: list[Statistic] = [rates]
    entities = None
    if has_entities(labels):
        entities = count_entities(predictions.example, predictions.targets, predictions.predicted, labels, count)
        statistics.append(EntityRates(entities))
    support = rates.support.sum(axis=0)
    tokens = int(support.sum())
    metrics = _ordered(measure(statistics, count=count, samples=samples, seed=seed))
    for name, metric in metrics.items():
        if metric.value is None:
            metrics[name] = replace(metric, note="Undefined: there is no entity to find, or none was named.")
    absent = int((support == 0).sum())
    notes = [f"{absent} of {len(labels)} tags do not occur here, and macro figures leave them out."] if absent else []
    return EvaluationReport(
        task="token_classification", labels=labels, examples=count, tokens=tokens, metrics=metrics,
        per_class=_tag_rows(rates, labels), per_entity=entity_results(entities) if entities else (),
        confusion=confusion_of(predictions.targets, predictions.predicted, labels),
        mistakes=_mistakes(predictions, labels, limit), wrong=int((predictions.targets != predictions.predicted).sum()),
        baseline=float(support.max() / tokens), notes=tuple(notes), bootstrap_samples=samples, seed=seed)


def _tag_rows(rates: TagRates, labels: tuple[str, ...]) -> tuple[ClassResult, ...]:
    rows = []
    for index, label in enumerate(labels):
        hits, support, said = (float(table[:, index].sum()) for table in (rates.hits, rates.support, rates.said))
        rows.append(ClassResult(label=label, support=int(support), predicted=int(said),
                                precision=hits / said if said else None, recall=hits / support if support else None,
                                f1=2 * hits / (support + said) if support + said else None, roc_auc=None,
                                average_precision=None))
    return tuple(rows)


def _mistakes(predictions: TagPredictions, labels: tuple[str, ...], limit: int) -> tuple[WrongClass, ...]:
    sources = [_word_source(predictions.sources[example], int(place))
               for example, place in zip(predictions.example, predictions.place, strict=True)]
    return worst_classes(predictions.targets, predictions.predicted, predictions.confidence, predictions.truth,
                         sources=sources, labels=labels, limit=limit)


def _word_source(source: str, place: int) -> str:
    """Names the line of a word: in a CoNLL file each word of a sentence has its own."""
    found = _LINE.fullmatch(source)
    if found is None or Path(found["file"]).suffix.lower() in _ONE_OBJECT_PER_LINE:
        return source
    return f"{found['file']}:{int(found['line']) + place}"


# === Language ===


def _judge_language(model: Any, split: EvaluationSplit | None, task: str, batch_size: int, samples: int, seed: int,
                    progress: Progress | None) -> EvaluationReport:
    sizes = token_sizes(model) if task == "language_model" else None
    losses = measure_tokens(model, split, batch_size=batch_size, sizes=sizes, progress=progress)
    count, tokens = len(losses.sources), int(losses.tokens.sum())
    metrics = _ordered(measure([LanguageRates(losses)], count=count, samples=samples, seed=seed))
    notes = []
    if task == "language_model":
        notes.append("Each block is read on its own: its first tokens are told with little or nothing before them. The "
                     "figures would be better with a window that moves token by token.")
    if sizes is not None:
        notes.append(f"{tokens:,} tokens stand for {int(losses.characters.sum()):,} characters and "
                     f"{int(losses.bytes.sum()):,} bytes.")
    asked = losses.tokens_by_place
    places = losses.nats_by_place[asked > 0] / asked[asked > 0]
    return EvaluationReport(task=task, labels=(), examples=count, tokens=tokens, metrics=metrics, notes=tuple(notes),
                            loss_by_place=tuple(map(float, places)) if task == "language_model" else (),
                            bootstrap_samples=samples, seed=seed)


def token_sizes(model: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns how many characters and bytes each token id of a model stands for, or None where that is not known."""
    try:
        preprocessing = record_of(model).preprocessing
    except ArgumentError:  # a model from elsewhere has no record
        return None
    if not isinstance(preprocessing, BytePairPreprocessing) or not preprocessing.vocabulary:
        return None
    content = [b"" if token == preprocessing.end_of_text else spelled for token, spelled in
               zip(preprocessing.vocabulary, token_bytes(preprocessing.vocabulary), strict=True)]
    # A character begins at every byte that is not the continuation of one.
    characters = [sum(byte & 0xC0 != 0x80 for byte in token) for token in content]
    return np.array(characters, np.int64), np.array([len(token) for token in content], np.int64)


def _ordered(metrics: dict[str, Metric]) -> dict[str, Metric]:
    return dict(sorted(metrics.items(), key=lambda item: rank_of(item[0])))
