"""How good an exported version is: the task's metric, by zoo.evaluation, of what its graph answers in a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving.errors import ExportError
from serving.export.replay import LoadedVersion
from serving.export.rows import by_name
from serving.export.signatures import DEFAULT
from serving.manifest import read_manifest
from zoo.evaluation import EvaluationSplit, evaluate
from zoo.evaluation.glossary import meaning
from zoo.spec import ModelRecord, attach_record

_FIRST_METRIC: Mapping[str, tuple[str, ...]] = {
    "classification": ("accuracy",), "binary_classification": ("accuracy",), "regression": ("rmse",),
    "embedding": ("spearman", "mean_reciprocal_rank"), "token_classification": ("entity_f1", "accuracy"),
    "masked_language_model": ("loss",), "language_model": ("loss",)}
_LABEL_TASKS = ("classification", "binary_classification", "token_classification", "masked_language_model")
# The logits of a batch leave the graph, with a number for each word of the vocabulary.
_BATCH: Mapping[str, int] = {"language_model": 1, "masked_language_model": 4}


@dataclass(frozen=True)
class Judgement:
    """How good a version is.

    Attributes:
        metric: The metric's name.
        value: Its value.
        examples: How many examples it was judged by.
        labels: The label that it put first for each example, or each token that is no padding; empty where the task
            has none.
    """

    metric: str
    value: float
    examples: int
    labels: NDArray[np.int64] = field(repr=False)

    def drop_of(self, other: Judgement) -> float:
        """By which share of this judgement's value another is worse; below 0 where it is better."""
        worse = self.value - other.value if meaning(self.metric).better == "higher" else other.value - self.value
        if worse == 0:
            return 0.0
        return worse / abs(self.value) if self.value else float(np.copysign(np.inf, worse))

    def agreement_with(self, other: Judgement) -> float | None:
        """The share of the labels that are the same; None where the task has none."""
        if not len(self.labels) or self.labels.shape != other.labels.shape:
            return None
        return float(np.mean(self.labels == other.labels))


def judge_version(folder: Path, record: ModelRecord, split: EvaluationSplit, metric: str = "") -> Judgement:
    """Judges a version by what its `serving_default` answers to the examples.

    Args:
        folder: The version's folder.
        record: The record of its model.
        split: The examples, read with the model's own preprocessing.
        metric: The metric's name; empty takes the task's first.

    Raises:
        ExportError: The task has no metric, or none of that name.
        ZooError: The examples do not fit.
    """
    if record.task not in _FIRST_METRIC:
        raise ExportError(f"A model for {record.task} has no metric to compare exports by. Choose a level yourself.")
    with LoadedVersion(folder) as version:
        served = _Served(version, folder, record)
        report = evaluate(served, split, labels=record.labels, task=record.task, threshold=record.threshold,
                          bootstrap_samples=0, mistakes=0, batch_size=_BATCH.get(record.task, 32))
    name = metric or next((name for name in _FIRST_METRIC[record.task] if name in report.values), "")
    if name not in report.values:
        raise ExportError(f"`metric` is one that these examples define: {', '.join(report.values)}. Received: "
                          f"{metric!r}")
    labels = np.concatenate(served.labels) if served.labels else np.zeros(0, np.int64)
    return Judgement(name, report.values[name], report.examples, labels)


class _Served:
    """A version that is called like the Keras model that it was made of, and remembers its labels."""

    def __init__(self, version: LoadedVersion, folder: Path, record: ModelRecord) -> None:
        contract = read_manifest(folder).signatures[DEFAULT]
        self.name = record.name
        self.labels: list[NDArray[np.int64]] = []
        self._version = version
        self._inputs = {name: tf.as_dtype(tensor.dtype) for name, tensor in contract.inputs.items()}
        (self._output, tensor), = contract.outputs.items()
        self.output_shape = tensor.shape
        self._ranks = record.task in _LABEL_TASKS
        self._threshold = np.float32(record.threshold)
        attach_record(self, record)

    def __call__(self, inputs: Any, training: bool = False) -> Any:
        """Answers inside a tf.function: float32 [N, ...]."""
        tensors = by_name(list(self._inputs), inputs)
        cast = [tf.cast(tensors[name], dtype) for name, dtype in self._inputs.items()]
        answer = tf.numpy_function(self._run, cast, tf.float32, stateful=True)
        answer.set_shape([None, *self.output_shape[1:]])
        return answer

    def _run(self, *arrays: NDArray[Any]) -> NDArray[np.float32]:
        named = dict(zip(self._inputs, arrays, strict=True))
        answer: NDArray[np.float32] = self._version.run(DEFAULT, named)[self._output]
        if self._ranks:
            self._keep_labels(answer, named)
        return answer

    def _keep_labels(self, answer: NDArray[np.float32], named: Mapping[str, NDArray[Any]]) -> None:
        found = (answer[..., 0] >= self._threshold) if answer.shape[-1] == 1 else answer.argmax(axis=-1)
        if found.ndim == 2 and "padding_mask" in named:
            found = found[np.asarray(named["padding_mask"], bool)]
        self.labels.append(found.reshape(-1).astype(np.int64))
