"""Judging tags and language models, against figures worked out in numpy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import ArgumentError, DataError
from zoo.evaluation import EvaluationReport, evaluate
from zoo.preprocessing.byte_alphabet import byte_characters
from zoo.spec import BytePairPreprocessing, ModelRecord, attach_record

RANDOM = np.random.default_rng(0)
IDS = RANDOM.integers(0, 5, size=(6, 7)).astype(np.int32)
LABELS = ("O", "B-PER", "I-PER", "B-LOC")
TARGETS = np.where(RANDOM.uniform(size=(6, 7)) < 0.7, RANDOM.integers(0, 4, size=(6, 7)), -1).astype(np.int32)
TARGETS[4] = -1  # a sentence without any target


@dataclass(frozen=True)
class Sentences:
    """Ids and targets; the sources are lines of a CoNLL file."""

    ids: np.ndarray
    targets: np.ndarray

    @property
    def count(self) -> int:
        return len(self.ids)

    def batches(self, batch_size: int) -> Any:
        return tf.data.Dataset.from_tensor_slices(({"token_ids": self.ids}, self.targets)).batch(batch_size)

    def examples(self) -> Sequence[str]:
        return [f"words.conll:{1 + 10 * index}" for index in range(self.count)]


def _model(outputs: int, activation: str | None = "softmax", task: Any = "token_classification",
           preprocessing: Any = None) -> keras.Model:
    keras.utils.set_random_seed(1)
    ids = keras.Input((None,), dtype="int32", name="token_ids")
    x = keras.layers.Embedding(300, 8, name="table")(ids)
    model = keras.Model([ids], keras.layers.Dense(outputs, activation=activation, name="predictions")(x), name="tiny")
    attach_record(model, ModelRecord(name="tiny", input_kind="text", task=task, registered=False,
                                     preprocessing=preprocessing or BytePairPreprocessing(max_length=7)))
    return model


def _judged(model: keras.Model, targets: np.ndarray = TARGETS, ids: np.ndarray = IDS, **arguments: Any,
            ) -> EvaluationReport:
    values: dict[str, Any] = {"labels": LABELS, "task": "token_classification", "batch_size": 4,
                              "bootstrap_samples": 0, **arguments}
    return evaluate(model, Sentences(ids, targets), **values)


def test_tags_are_judged_by_word(tmp_path: Path) -> None:
    """Accuracy, the table of tags and the worst mistakes count tokens with a target and nothing else."""
    model = _model(4)
    report = _judged(model, bootstrap_samples=100)
    said = model.predict(IDS, verbose=0)
    asked = TARGETS >= 0
    right = (said.argmax(-1) == TARGETS)[asked]
    assert report.metrics["accuracy"].value == pytest.approx(right.mean())
    assert (report.tokens, report.examples, report.wrong) == (asked.sum(), 6, (~right).sum())
    assert [row.support for row in report.per_class] == [(tag == TARGETS).sum() for tag in range(4)]
    low, high = report.metrics["accuracy"].low, report.metrics["accuracy"].high
    assert low is not None
    assert high is not None
    assert low <= right.mean() <= high
    assert {"entity_precision", "entity_recall", "entity_f1"} <= set(report.metrics)
    worst = report.mistakes[0]
    row, column = divmod(int(np.where(asked & (said.argmax(-1) != TARGETS), np.take_along_axis(
        said, np.maximum(TARGETS, 0)[..., None], -1)[..., 0], 2.0).argmin()), 7)
    place = asked[row, :column].sum()
    assert worst.source == f"words.conll:{1 + 10 * row + place}"
    data = json.loads((report.save(tmp_path / "report") / "report.json").read_text())
    assert {"confusion_matrix.png", "report.md"} <= set(data["files"])
    text = (tmp_path / "report" / "report.md").read_text()
    assert "## Entities" in text
    assert "ROC AUC" not in text
    assert "Token classification, 4 tags." in text


def test_language_models_are_judged_by_token_and_character(tmp_path: Path) -> None:
    """Loss and perplexity are means over tokens; characters and bytes come from what the tokens spell."""
    vocabulary = (*byte_characters(), "<|endoftext|>", "ĠÃ©")  # the last one is a blank and an é: two characters
    model = _model(258, None, "language_model", BytePairPreprocessing(max_length=7, vocabulary=vocabulary))
    targets = RANDOM.integers(0, 256, size=(6, 7)).astype(np.int32)
    targets[0, :3] = [257, 256, 65]
    targets[5, 4:] = -1
    targets[1:] = np.where(targets[1:] >= 128, targets[1:] - 128, targets[1:])
    report = _judged(model, targets, labels=(), task="language_model")
    logits = model.predict(IDS, verbose=0).astype(np.float64)
    nats = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, np.maximum(targets, 0)[..., None], -1)[..., 0]
    asked = targets >= 0
    assert report.values["loss"] == pytest.approx(nats[asked].mean(), rel=1e-5)
    assert report.values["perplexity"] == pytest.approx(np.exp(nats[asked].mean()), rel=1e-5)
    assert report.values["accuracy"] == pytest.approx((logits.argmax(-1) == targets)[asked].mean())
    spelled = b"".join(bytes([target]) if target < 256 else [b"", b" \xc3\xa9"][target - 256]
                       for target in targets[asked])
    characters = sum(byte & 0xC0 != 0x80 for byte in spelled)
    assert report.values["nats_per_character"] == pytest.approx(nats[asked].sum() / characters, rel=1e-5)
    assert report.values["bits_per_byte"] == pytest.approx(nats[asked].sum() / len(spelled) / np.log(2), rel=1e-5)
    by_place = [nats[asked[:, place], place].mean() for place in range(7)]
    assert report.loss_by_place == pytest.approx(by_place, rel=1e-5)
    report.save(tmp_path / "report", history=[{"epoch": 1, "loss": 2.0}])
    text = (tmp_path / "report" / "report.md").read_text()
    assert "loss_by_place.png" in text
    assert "nats per character" in text
    assert "Worst mistakes" not in text


def test_batches_do_not_matter() -> None:
    """Any batch size gives the same figures, with intervals and all."""
    model = _model(4)
    one, other = (_judged(model, batch_size=size, bootstrap_samples=100, seed=3) for size in (1, 5))
    assert {name: metric.value for name, metric in one.metrics.items()} == pytest.approx(
        {name: metric.value for name, metric in other.metrics.items()})
    assert one.metrics["f1_macro"].low == pytest.approx(other.metrics["f1_macro"].low)
    hidden = _judged(_model(258, None, "masked_language_model"), labels=(), task="masked_language_model")
    assert "bits_per_byte" not in hidden.metrics
    assert "hidden tokens" in hidden.summary


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"labels": LABELS[:3]}, ArgumentError, "knows 4 tags and 3 labels"),
    ({"targets": np.full_like(TARGETS, -1)}, DataError, "No token of the split has a target"),
    ({"targets": TARGETS + 3}, DataError, "the model knows 4"),
    ({"targets": TARGETS[:, :5]}, ArgumentError, "for targets of the shape"),
    ({"targets": TARGETS[:0], "ids": IDS[:0]}, DataError, "has no examples"),
])
def test_what_cannot_be_judged(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """One clear line each."""
    with pytest.raises(error, match=message):
        _judged(_model(4), **arguments)
