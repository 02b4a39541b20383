"""Training that begins with a trained model, and with a teacher, from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoo
from tests.command_line import snapshot
from tests.conftest import Workplace
from zoo.compression.quantization_aware import QuantizationAware
from zoo.errors import ArgumentError, BundleError
from zoo.retraining import gentle_config, known_source, retrain, saved_record
from zoo.runs import DataSource, train
from zoo.teaching import teacher_in
from zoo.training import TrainingConfig


def test_a_run_goes_on_for_eight_bits(workplace: Workplace, tmp_path: Path) -> None:
    """A new run on the same split, begun with the old one's parameters; the old folder stays as it is."""
    start = workplace.run("pictures")
    before, old = snapshot(start), zoo.record_of(zoo.load(start))
    config = gentle_config(old, epochs=1, learning_rate=1e-9)
    result = retrain(start, tmp_path / "r", config, techniques=(QuantizationAware(),))

    again = zoo.load(tmp_path / "r")
    for left, right in zip(zoo.load(start).weights, again.weights, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-6)
    record = zoo.record_of(again)
    assert record.training["data"] == old.training["data"] and record.labels == old.labels
    assert "conv_1" in " ".join(record.training["quantization"]["layers"])
    assert record.weights["trained_from"] in (start / "bundle.json").read_text()
    assert record.metrics == {} and result.report.epochs == 1
    assert snapshot(start) == before


def test_what_is_not_said_is_as_the_model_was_trained(workplace: Workplace) -> None:
    """A tenth of the learning rate, 5 epochs, nothing frozen; what is given wins."""
    record = saved_record(workplace.run("points"))
    own, found = record.training["config"], gentle_config(record, batch_size=7)
    assert found.learning_rate == pytest.approx(own["learning_rate"] / 10)
    assert (found.epochs, found.frozen_epochs, found.batch_size, found.optimizer) == (5, 0, 7, own["optimizer"])
    assert known_source(workplace.run("points")).path.endswith("points.csv")  # type: ignore[union-attr]


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    """The message names the file that is missing; a saved model without a run needs data."""
    with pytest.raises(BundleError, match=r"bundle\.json is missing"):
        retrain(tmp_path, tmp_path / "r")
    with pytest.raises(BundleError, match=r"bundle\.json is missing"):
        teacher_in(tmp_path)
    assert known_source(tmp_path) is None


@pytest.mark.parametrize(("kind", "student", "build", "reading"), [
    ("pictures", "cifar_cnn", {"input_shape": (12, 12, 3)}, {"path": "digits"}),
    ("points", "mlp_binary", {}, {"path": "points.csv", "target": ("label",)}),
    ("texts", "transformer_text", {"hidden_size": 8, "layers": 1, "heads": 2}, {"path": "reviews.tsv"})])
def test_every_kind_of_run_can_teach(workplace: Workplace, tmp_path: Path, kind: str, student: str,
                                     build: dict[str, Any], reading: dict[str, Any]) -> None:
    """Pictures of another size and in colour, a table, texts in the teacher's words; the record names the teacher."""
    teacher = teacher_in(workplace.run(kind), temperature=3.0, weight=None)
    like = zoo.record_of(teacher.teacher)
    source = DataSource(**{**reading, "path": str(workplace.folder / reading["path"])})
    result = train(student, source, tmp_path / "r", TrainingConfig(epochs=1), build=build, techniques=(teacher,),
                   like=like)

    record = zoo.record_of(zoo.load(tmp_path / "r"))
    assert record.labels == like.labels and result.report.epochs == 1
    known = record.training["distillation"]
    assert (known["temperature"], known["weight"], known["source"]) == (3.0, 0.5, str(workplace.run(kind)))
    if kind == "texts":
        assert record.preprocessing == like.preprocessing


def test_a_teacher_for_another_task_is_refused(workplace: Workplace, tmp_path: Path) -> None:
    """Nothing of the run is left behind."""
    teacher = teacher_in(workplace.run("points"))
    with pytest.raises(ArgumentError, match="'mlp_binary' is made for binary classification"):
        train("mnist_cnn", DataSource(path=str(workplace.digits)), tmp_path / "r", TrainingConfig(epochs=1),
              build={"input_shape": (8, 8, 1)}, techniques=(teacher,))
    assert not (tmp_path / "r").exists()
