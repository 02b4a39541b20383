"""The metric of an exported version is that of its model, by the same evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from serving.errors import ExportError
from serving.export import export_model
from serving.export.candidates.judging import judge_version
from tests.serving.export.small_models import (
    feature_extractor,
    image_classifier,
    table_regressor,
    text_classifier,
    with_record,
)
from zoo.data.arrays import from_arrays
from zoo.data.labelled import Split
from zoo.evaluation import evaluate
from zoo.spec import TensorPreprocessing, record_of

layers = keras.layers


def tagger() -> Any:
    """Five tokens with a mask, a tag for each."""
    token_ids = keras.Input((5,), dtype="int32", name="token_ids")
    mask = keras.Input((5,), dtype="int32", name="padding_mask")
    x = layers.Embedding(9, 4, name="embedding")(token_ids)
    x = layers.Multiply(name="masked")([x, layers.Reshape((5, 1), name="wide")(mask)])
    x = layers.Dense(3, activation="softmax", name="predictions")(x)
    return with_record(keras.Model({"token_ids": token_ids, "padding_mask": mask}, x, name="tags"),
                       "token_classification", TensorPreprocessing(), "text", labels=("O", "B-x", "I-x"))


class Tagged:
    """A split of tagged tokens whose last places are padding."""

    count = 12

    def __init__(self) -> None:
        generator = np.random.default_rng(2)
        self.mask = (np.arange(5) < generator.integers(2, 6, (12, 1))).astype(np.int32)
        self.inputs = {"padding_mask": self.mask, "token_ids": generator.integers(0, 9, (12, 5)).astype(np.int32)}
        self.targets = np.where(self.mask, generator.integers(0, 3, (12, 5)), -1).astype(np.int32)

    def batches(self, batch_size: int) -> Any:
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices((self.inputs, self.targets)).batch(batch_size)

    def examples(self) -> list[str]:
        return [str(index) for index in range(self.count)]


def examples_of(model: Any) -> Split:
    """Forty examples whose classes the model does not always tell."""
    generator = np.random.default_rng(1)
    record = record_of(model)
    inputs: Any
    if record.input_kind == "image":
        inputs = generator.integers(0, 256, (40, 12, 10, 3)).astype(np.float32)
    elif record.input_kind == "text":
        inputs = [" ".join(generator.choice(["good", "bad", "film", "the"], 4)) for _ in range(40)]
    else:
        inputs = {"sepal length (cm)": generator.normal(5, 2, 40), "Farbe/é": generator.choice(["red", "green"], 40),
                  "age": generator.normal(1, 4, 40)}
    classes = len(record.labels)
    targets = generator.integers(0, classes, 40) if classes else generator.normal(0, 1, 40)
    data = from_arrays(inputs, targets, labels=record.labels, preprocessing=record.preprocessing,
                       validation_fraction=0.0, test_fraction=0.0)
    return data.train


@pytest.mark.parametrize(("make", "metric"), [(image_classifier, "accuracy"), (text_classifier, "accuracy"),
                                              (table_regressor, "rmse"), (tagger, "entity_f1")],
                         ids=lambda value: getattr(value, "__name__", value))
def test_a_version_is_judged_as_its_model_is(make: Any, metric: str, tmp_path: Path) -> None:
    """The task's first metric has the value that zoo.evaluation finds for the Keras model itself."""
    model = make()
    record = record_of(model)
    split: Any = Tagged() if make is tagger else examples_of(model)
    folder = export_model(model, tmp_path, validate=False).path
    found = judge_version(folder, record, split)
    expected = evaluate(model, split, labels=record.labels, task=record.task, bootstrap_samples=0).values
    assert found.metric == metric
    assert found.value == pytest.approx(expected[metric], rel=1e-6)
    assert found.examples == split.count
    if make is tagger:
        assert len(found.labels) == split.mask.sum(), "padding has no label"
    elif make is not table_regressor:
        assert len(found.labels) == split.count
    assert found.agreement_with(found) == (None if make is table_regressor else 1.0)


def test_another_metric_by_name(tmp_path: Path) -> None:
    """Any figure of the evaluation may count; a name that is none is refused with those that there are."""
    model = image_classifier()
    folder = export_model(model, tmp_path, validate=False).path
    split = examples_of(model)
    assert judge_version(folder, record_of(model), split, "log_loss").metric == "log_loss"
    with pytest.raises(ExportError, match=r"`metric` .*accuracy.*Received: 'beauty'"):
        judge_version(folder, record_of(model), split, "beauty")


def test_a_task_without_a_metric_is_told(tmp_path: Path) -> None:
    """There is nothing to compare feature maps by."""
    model = feature_extractor()
    folder = export_model(model, tmp_path, validate=False).path
    with pytest.raises(ExportError, match="has no metric"):
        judge_version(folder, record_of(model), examples_of(table_regressor()))
