"""A student and its teacher in a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.zoo.training.in_memory import binary_classifier, blobs, classifier, line, recorded, regressor
from zoo.compression.distillation import Distillation
from zoo.compression.quantization_aware import QuantizationAware
from zoo.errors import ArgumentError, TrainingError
from zoo.spec import TensorPreprocessing, attach_record, record_of
from zoo.training import TrainingConfig, fit

CONFIG = TrainingConfig(epochs=3, batch_size=32, learning_rate=0.01)


def wide_teacher(classes: int = 3, seed: int = 5, name: str = "teacher") -> keras.Model:
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((4,), name="features")
    x = keras.layers.Dense(24, activation="tanh", name="block_0_dense")(x)
    x = keras.layers.Dense(24, activation="tanh", name="block_1_dense")(x)
    outputs = keras.layers.Dense(classes, activation="softmax", name="predictions")(x)
    return recorded(keras.Model(inputs, outputs, name=name), "classification")


def divergence(teacher: keras.Model, student: keras.Model, x: np.ndarray) -> float:
    p, q = teacher(x, training=False).numpy(), student(x, training=False).numpy()
    return float(np.mean(np.sum(p * np.log((p + 1e-9) / (q + 1e-9)), axis=-1)))


def test_a_student_comes_to_answer_as_its_teacher_does(tmp_path: Path) -> None:
    """With the teacher's answers alone the student follows it, against the labels even; the teacher stays as it is."""
    data, teacher, student = blobs(256), wide_teacher(), classifier(dropout=0.0)
    x = data.validation.inputs  # type: ignore[union-attr]
    before, weights = divergence(teacher, student, x), [v.numpy() for v in teacher.variables]
    fit(student, data, CONFIG.replace(epochs=10, learning_rate=0.03, restore_best=False), tmp_path,
        techniques=(Distillation(teacher=teacher, weight=1.0),))

    assert divergence(teacher, student, x) < before / 10
    for left, right in zip(weights, teacher.variables, strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_loss_is_made_of_labels_answers_and_states(tmp_path: Path) -> None:
    """One step's loss is the sum that the documentation gives, computed by hand."""
    data, teacher = blobs(32, spread=1.0), wide_teacher()
    x, y = data.train.inputs, data.train.targets  # type: ignore[union-attr]
    settings = CONFIG.replace(epochs=1, learning_rate=1e-9)
    losses = {}
    for name, chosen in {"labels": (0.0, 1e-12), "answers": (1.0, 0.0), "both": (0.3, 0.0)}.items():
        technique = Distillation(teacher=teacher, weight=chosen[0], hidden=chosen[1], temperature=1.0)
        losses[name] = fit(classifier(dropout=0.0), data, settings, tmp_path / name,
                           techniques=(technique,)).history[0]["loss"]
    student = classifier(dropout=0.0)
    hidden = keras.Model(student.input, student.get_layer("hidden").output)(x).numpy()
    student.get_layer("normalization").moving_mean.assign(hidden.mean(axis=0))
    student.get_layer("normalization").moving_variance.assign(hidden.var(axis=0))
    answers = student(x, training=False).numpy()

    assert losses["labels"] == pytest.approx(-np.log(answers[np.arange(32), y]).mean(), rel=1e-3)
    assert losses["answers"] == pytest.approx(divergence(teacher, student, x), rel=1e-3)
    assert losses["both"] == pytest.approx(0.7 * losses["labels"] + 0.3 * losses["answers"], rel=1e-4)


def test_hidden_states_come_nearer(tmp_path: Path) -> None:
    """With a weight on them the student's states, projected, tell the teacher's; the record says which were paired."""
    data, teacher, student = blobs(256), wide_teacher(), classifier(dropout=0.0)
    report = fit(student, data, CONFIG.replace(epochs=8, learning_rate=0.02), tmp_path,
                 techniques=(Distillation(teacher=teacher, weight=0.0, hidden=1.0),))
    known = record_of(student).training["distillation"]

    assert known["states"] == [["input of predictions", "block_1"]]
    assert report.history[-1]["loss"] - report.history[-1]["val_loss"] < 0.3 < report.history[0]["loss"]
    assert "projection" not in " ".join(variable.path for variable in student.variables)


@pytest.mark.parametrize(("make", "data"), [(binary_classifier, blobs(classes=2)), (regressor, line())])
def test_other_tasks_have_teachers_too(tmp_path: Path, make: Any, data: Any) -> None:
    """Two classes and values: the student comes to equal a teacher that knows something else than the labels."""
    teacher, student = make(seed=11), make(seed=4)
    x = data.validation.inputs
    before = np.abs(teacher(x) - student(x)).mean()
    fit(student, data, CONFIG.replace(epochs=12, learning_rate=0.1, restore_best=False), tmp_path,
        techniques=(Distillation(teacher=teacher, weight=1.0),))
    assert np.abs(teacher(x) - student(x)).mean() < before / 4


def test_a_paused_run_with_all_of_it_ends_alike(tmp_path: Path) -> None:
    """A teacher, states, eight bits and 16-bit steps: paused and gone on with in another process, to the bit."""
    data, settings = blobs(), CONFIG.replace(augmentation=("mixup",), mixed_precision="mixed_bfloat16")

    def lessons() -> Any:
        return Distillation(teacher=wide_teacher(), hidden=0.5), QuantizationAware()

    whole, parted = classifier(), classifier()
    expected = fit(whole, data, settings, tmp_path / "whole", techniques=lessons())
    fit(parted, data, settings, tmp_path / "parted", techniques=lessons(), pause=lambda ended: ended.epoch == 2)
    parted = classifier(seed=8)
    report = fit(parted, data, settings, tmp_path / "parted", techniques=lessons())

    assert report.history == expected.history
    for left, right in zip(whole.variables, parted.variables, strict=True):
        np.testing.assert_array_equal(left, right)
    assert all(layer.dtype_policy.name == "float32" for layer in whole.layers)


def test_another_teacher_is_another_run(tmp_path: Path) -> None:
    """The folder remembers the teacher by its parameters, the record too."""
    student = classifier()
    fit(student, blobs(), CONFIG.replace(epochs=1), tmp_path, techniques=(Distillation(teacher=wide_teacher()),))
    known = record_of(student).training["distillation"]
    assert (known["teacher"], known["parameters"], known["temperature"]) == ("teacher", 795, 2.0)
    assert known["sha256"] == Distillation(teacher=wide_teacher()).identity()["teacher"]
    with pytest.raises(TrainingError, match=r"techniques\.distillation\.teacher was"):
        fit(classifier(), blobs(), CONFIG.replace(epochs=1), tmp_path,
            techniques=(Distillation(teacher=wide_teacher(seed=6)),))


def test_what_does_not_fit_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    """Another task, other labels, another number of classes, shared parameters, settings out of range."""
    def refused(teacher: keras.Model, message: str) -> None:
        with pytest.raises(ArgumentError, match=message):
            fit(classifier(), blobs(), CONFIG, tmp_path / "r", techniques=(Distillation(teacher=teacher),))

    refused(binary_classifier(), "made for binary classification and the student 'classifier' for classification")
    refused(wide_teacher(4), "has 4 values and the student's 3")
    named = wide_teacher()
    attach_record(named, record_of(named).replace(labels=("class 0", "class 2", "class 1")))
    refused(named, "not the student's in the same order: class 0, class 2, class 1 against")
    other = wide_teacher()
    attach_record(other, record_of(other).replace(input_kind="text", preprocessing=TensorPreprocessing()))
    refused(other, "reads tabular inputs and the teacher 'teacher' text inputs")
    student = classifier()
    with pytest.raises(ArgumentError, match="shares parameters"):
        fit(student, blobs(), CONFIG, tmp_path / "r", techniques=(Distillation(teacher=student),))
    for wrong, message in (({"weight": 1.2}, "weight"), ({"temperature": 0.0}, "temperature"),
                           ({"hidden": -1.0}, "hidden"), ({"weight": 0.0}, "teaches nothing")):
        with pytest.raises(ArgumentError, match=message):
            Distillation(teacher=named, **wrong)  # type: ignore[arg-type]
    assert not list(tmp_path.glob("r/*.safetensors"))
