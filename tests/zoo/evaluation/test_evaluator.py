from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from sklearn import metrics as reference

from tests.zoo.evaluation.array_split import ArraySplit
from zoo.errors import ArgumentError
from zoo.evaluation import EvaluationReport, Predictions, evaluate, evaluator, judge
from zoo.spec import ModelRecord, TensorPreprocessing, attach_record


def _predictions(outputs: np.ndarray, targets: np.ndarray) -> Predictions:
    return Predictions(np.asarray(outputs, np.float32), targets, tuple(f"row {i}" for i in range(len(targets))))


def _classes(count: int = 200, classes: int = 8, seed: int = 0) -> Predictions:
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, classes, count)
    logits = generator.normal(size=(count, classes))
    logits[np.arange(count), targets] += 1.5
    exponentials = np.exp(logits)
    return _predictions(exponentials / exponentials.sum(axis=1, keepdims=True), targets)


def _binary(count: int = 200, seed: int = 0) -> Predictions:
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, 2, count)
    return _predictions(1 / (1 + np.exp(-(2 * targets - 1 + generator.normal(size=count))))[:, None], targets)


def _sane(report: EvaluationReport) -> None:
    """Checks what holds for every report: JSON without NaN, and intervals that are in order."""
    json.dumps(report.to_dict(), allow_nan=False)
    for name, metric in report.metrics.items():
        assert metric.value is not None or metric.note, name
        if metric.low is not None and metric.high is not None:
            assert metric.low <= metric.high, name


def test_the_figures_of_classes_equal_scikit_learn() -> None:
    """Every figure of a multi-class report, computed once more by scikit-learn."""
    said = _classes()
    report = judge(said, labels=list("abcdefgh"), task="classification", bootstrap_samples=200)
    targets, outputs = said.targets, said.outputs.astype(np.float64)
    outputs /= outputs.sum(axis=1, keepdims=True)
    decided = outputs.argmax(axis=1)
    expected = {
        "accuracy": reference.accuracy_score(targets, decided),
        "top_5_accuracy": reference.top_k_accuracy_score(targets, outputs, k=5),
        "precision_macro": reference.precision_score(targets, decided, average="macro"),
        "recall_macro": reference.recall_score(targets, decided, average="macro"),
        "f1_macro": reference.f1_score(targets, decided, average="macro"),
        "precision_micro": reference.precision_score(targets, decided, average="micro"),
        "recall_micro": reference.recall_score(targets, decided, average="micro"),
        "f1_micro": reference.f1_score(targets, decided, average="micro"),
        "roc_auc": reference.roc_auc_score(targets, outputs, multi_class="ovr"),
        "average_precision": reference.average_precision_score(targets, outputs),
        "log_loss": reference.log_loss(targets, outputs),
        "brier_score": ((outputs - np.eye(8)[targets]) ** 2).sum(axis=1).mean(),
    }
    values = report.values
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert set(values) == {*expected, "expected_calibration_error"}
    for metric in report.metrics.values():
        assert metric.low is not None and metric.high is not None
    assert report.examples == 200 and report.wrong == (decided != targets).sum()
    _sane(report)


def test_the_figures_of_a_binary_model_equal_scikit_learn() -> None:
    """Every figure of a binary report, computed once more by scikit-learn."""
    said = _binary()
    report = judge(said, labels=["no", "yes"], task="binary_classification", threshold=0.3, bootstrap_samples=200)
    targets, outputs = said.targets, said.outputs[:, 0]
    decided = (outputs >= 0.3).astype(int)
    expected = {
        "accuracy": reference.accuracy_score(targets, decided),
        "precision": reference.precision_score(targets, decided),
        "recall": reference.recall_score(targets, decided),
        "f1": reference.f1_score(targets, decided),
        "f1_macro": reference.f1_score(targets, decided, average="macro"),
        "roc_auc": reference.roc_auc_score(targets, outputs),
        "average_precision": reference.average_precision_score(targets, outputs),
        "log_loss": reference.log_loss(targets, outputs),
        "brier_score": reference.brier_score_loss(targets, outputs),
    }
    assert {name: report.values[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert report.threshold == 0.3
    assert [choice.rule for choice in report.thresholds] == ["f1", "youden"]
    assert report.confusion is not None
    assert report.confusion.matrix.tolist() == reference.confusion_matrix(targets, decided).tolist()
    _sane(report)


def test_the_figures_of_numbers_equal_scikit_learn() -> None:
    """Regression figures, computed once more by scikit-learn; a maximum has no interval."""
    generator = np.random.default_rng(0)
    targets = generator.normal(size=(150, 2))
    said = _predictions(targets + generator.normal(0, 0.3, size=(150, 2)), targets)
    report = judge(said, labels=["width", "height"], task="regression", bootstrap_samples=200)
    assert report.values == pytest.approx({
        "mse": reference.mean_squared_error(targets, said.outputs),
        "rmse": reference.root_mean_squared_error(targets, said.outputs),
        "mae": reference.mean_absolute_error(targets, said.outputs),
        "median_absolute_error": reference.median_absolute_error(targets, said.outputs),
        "r2": reference.r2_score(targets, said.outputs),
        "max_error": np.abs(targets - said.outputs).max(),
    })
    assert report.metrics["max_error"].low is None and "maximum" in report.metrics["max_error"].note
    assert [row.label for row in report.per_output] == ["width", "height"]
    _sane(report)


def test_a_perfect_model_is_perfect_and_the_report_warns() -> None:
    """No mistake seen is not no mistake made."""
    targets = np.arange(30) % 3
    report = judge(_predictions(np.eye(3)[targets], targets), labels=list("abc"), task="classification",
                   bootstrap_samples=100)
    for name in ("accuracy", "f1_macro", "roc_auc", "average_precision"):
        assert report.values[name] == 1.0, name
    assert report.mistakes == () and report.wrong == 0
    assert any("rule of three" in note and "10.00%" in note for note in report.notes)
    _sane(report)


def test_a_constant_model_is_as_good_as_the_baseline() -> None:
    """Ranking by a constant is chance, and the summary says that nothing was learned."""
    targets = np.array([0] * 20 + [1] * 10)
    report = judge(_predictions(np.full((30, 3), [0.5, 0.3, 0.2]), targets), labels=list("abc"),
                   task="classification", bootstrap_samples=100)
    assert report.values["accuracy"] == report.baseline == pytest.approx(2 / 3)
    assert report.values["roc_auc"] == 0.5
    assert "do not show that the model has learned anything" in report.summary
    assert any("never predicted (b)" in note for note in report.notes)
    _sane(report)


def test_absent_classes_are_told_and_left_out() -> None:
    """Macro figures say over how many classes they are means."""
    said = _classes(classes=6)
    keep = said.targets < 4
    said = Predictions(said.outputs[keep], said.targets[keep], said.sources[:int(keep.sum())])
    report = judge(said, labels=list("abcdef"), task="classification", bootstrap_samples=100)
    assert "2 of 6 classes have no example here" in report.notes[0]
    for name in ("f1_macro", "roc_auc"):
        assert "Mean over the 4 of 6 classes" in report.metrics[name].note
    assert report.per_class[5].roc_auc is None and report.per_class[5].recall is None
    _sane(report)


@pytest.mark.parametrize("only", [0, 1])
def test_one_class_alone_leaves_figures_undefined_with_a_reason(only: int) -> None:
    """What cannot be known is None with a sentence, not NaN and not a crash."""
    targets = np.full(20, only)
    report = judge(_predictions(np.full((20, 1), 0.2), targets), labels=["no", "yes"], task="binary_classification",
                   bootstrap_samples=100)
    assert report.metrics["roc_auc"].value is None
    assert "at least two classes" in report.metrics["roc_auc"].note
    assert report.metrics["precision"].note == "Undefined: no example was called 'yes'."
    assert report.thresholds == ()
    _sane(report)


def test_equal_targets_leave_r2_undefined() -> None:
    """A constant truth has no variance to explain."""
    report = judge(_predictions(np.arange(5.0)[:, None], np.full((5, 1), 3.0)), labels=[], task="regression",
                   bootstrap_samples=100)
    assert report.metrics["r2"].value is None and "all the same" in report.metrics["r2"].note
    _sane(report)


def test_a_single_example_can_be_judged() -> None:
    """The smallest split gives a report, with what is undefined left out."""
    report = judge(_predictions(np.array([[0.2, 0.8]]), np.array([1])), labels=["a", "b"], task="classification",
                   bootstrap_samples=100)
    assert report.values["accuracy"] == 1.0
    _sane(report)


def test_the_seed_decides_the_intervals() -> None:
    """The same seed gives the same report, another one other intervals and the same figures."""
    first, again, other = (judge(_classes(), labels=[], task="classification", bootstrap_samples=150, seed=seed)
                           for seed in (5, 5, 6))
    assert first.to_dict() == again.to_dict()
    assert first.values == other.values
    assert first.metrics["accuracy"].low != other.metrics["accuracy"].low or \
        first.metrics["log_loss"].low != other.metrics["log_loss"].low


def test_the_worst_mistakes_come_first() -> None:
    """Mistakes are wrong answers, ordered by how little the truth was given."""
    report = judge(_classes(), labels=list("abcdefgh"), task="classification", bootstrap_samples=0, mistakes=5)
    probabilities = [mistake.truth_probability for mistake in report.mistakes]  # type: ignore[union-attr]
    assert len(probabilities) == 5 and probabilities == sorted(probabilities)
    assert all(mistake.truth != mistake.predicted for mistake in report.mistakes)


def test_ranking_intervals_are_given_up_when_they_would_take_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figure stays, the interval is missing, and the note says why."""
    whole = judge(_classes(), labels=[], task="classification", bootstrap_samples=100)
    monkeypatch.setattr(evaluator, "_MACRO_RANKING_WORK", 1000)
    bounded = judge(_classes(), labels=[], task="classification", bootstrap_samples=100)
    assert bounded.values == pytest.approx(whole.values)
    assert list(bounded.metrics) == list(whole.metrics)
    assert bounded.metrics["roc_auc"].low is None and "reasonable time" in bounded.metrics["roc_auc"].note
    assert bounded.metrics["accuracy"].low is not None


def test_top_k_is_given_for_more_than_k_classes() -> None:
    """Top-5 of five classes is always right, so it is left out."""
    names = [judge(_classes(classes=classes), labels=[], task="classification", bootstrap_samples=0).metrics
             for classes in (5, 6)]
    assert "top_5_accuracy" not in names[0] and "top_5_accuracy" in names[1]
    assert "top_2_accuracy" in judge(_classes(), labels=[], task="classification", bootstrap_samples=0,
                                     top_k=2).metrics


@pytest.mark.parametrize(("options", "words"), [
    ({"labels": ["a", "b"]}, "output is of 8 classes but 2 labels were given"),
    ({"threshold": 1.5}, r"`threshold` must be a probability in \[0, 1\]. Received: 1.5"),
    ({"bootstrap_samples": 5}, "`bootstrap_samples` must be 0"),
    ({"top_k": 0}, "`top_k` must be at least 1"),
])
def test_wrong_arguments_are_refused(options: dict[str, object], words: str) -> None:
    """Each message says what was expected and what came."""
    arguments = {"labels": [], "task": "classification"} | options
    with pytest.raises(ArgumentError, match=words):
        judge(_classes(), **arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def steep() -> keras.Model:
    """A binary model that says sigmoid(x)."""
    inputs = keras.Input((1,), name="features")
    layer = keras.layers.Dense(1, activation="sigmoid", name="predictions")
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([np.array([[1.0]]), np.array([0.0])])
    return model


def test_an_uncompiled_model_is_evaluated(steep: keras.Model) -> None:
    """A freshly built model needs no compile; without a record the threshold is 0.5."""
    split = ArraySplit(np.array([[-2.0], [-1.0], [1.0], [2.0]], np.float32), np.array([0, 1, 1, 1]))
    report = evaluate(steep, split, labels=["no", "yes"], task="binary_classification", batch_size=3,
                      bootstrap_samples=100)
    assert report.values["accuracy"] == 0.75
    assert report.threshold == 0.5
    assert report.mistakes[0].source == "row 1"


def test_the_threshold_of_the_record_is_used(steep: keras.Model) -> None:
    """What is judged is what will be served, unless the caller says otherwise."""
    model = keras.models.clone_model(steep)
    model.set_weights(steep.get_weights())
    attach_record(model, ModelRecord(name="steep", input_kind="tabular", task="binary_classification",
                                     preprocessing=TensorPreprocessing(), threshold=0.9))
    split = ArraySplit(np.array([[1.0], [3.0]], np.float32), np.array([0, 1]))
    kept = evaluate(model, split, labels=["no", "yes"], task="binary_classification", bootstrap_samples=0)
    given = evaluate(model, split, labels=["no", "yes"], task="binary_classification", threshold=0.5,
                     bootstrap_samples=0)
    assert (kept.threshold, kept.values["accuracy"]) == (0.9, 1.0)
    assert (given.threshold, given.values["accuracy"]) == (0.5, 0.5)
