"""Whole training runs on small data: what is learned, kept, resumed, refused and put back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo.training.in_memory import (
    ArrayData,
    ArraySplit,
    binary_classifier,
    blobs,
    classifier,
    line,
    picture_classifier,
    pictures,
    regressor,
)
from zoo.errors import ArgumentError, TrainingError
from zoo.spec import record_of
from zoo.training import TrainingConfig, TrainingReport, fit
from zoo.training.events import BatchDone, EpochBegun, EpochEnded, RunResumed
from zoo.training.fine_tuning import sublayers


class Interrupted(Exception):
    """Stands for whatever ends a process."""


def weights(model: keras.Model) -> list[np.ndarray]:
    return [np.array(v.value.numpy()) for v in model.variables]


def assert_equal_weights(left: list[np.ndarray], right: list[np.ndarray]) -> None:
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


def config(**changes: Any) -> TrainingConfig:
    return TrainingConfig.from_dict({"epochs": 4, "batch_size": 32, "learning_rate": 0.01, **changes})


# Everything that has a state of its own: dropout, normalisation, two optimizers, plateau, mixup.
DEMANDING = config(epochs=5, frozen_epochs=2, schedule="reduce_on_plateau", schedule_epochs=1, augmentation=("mixup",),
                   l2=1e-3, optimizer="adamw", clip_global_norm=1.0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, keras.Model, TrainingReport]]:
    """The demanding run, uninterrupted."""
    folder, model = tmp_path_factory.mktemp("finished"), classifier()
    yield folder, model, fit(model, blobs(), DEMANDING, folder)


# === Learning ===


@pytest.mark.parametrize(("model", "data", "measure", "bound"), [
    (classifier, blobs(), "val_accuracy", 0.8),
    (binary_classifier, blobs(classes=2), "val_auc", 0.9),
    (picture_classifier, pictures(), "val_accuracy", 0.9),
], ids=["classification", "binary", "pictures"])
def test_learns(model: Any, data: ArrayData, measure: str, bound: float, tmp_path: Path) -> None:
    """Every kind of classifier learns what can be learned."""
    report = fit(model(), data, config(epochs=12, learning_rate=0.05, batch_size=16, monitor=measure), tmp_path)
    assert report.best_value >= bound
    assert report.history[0]["loss"] > report.history[-1]["loss"]


def test_recovers_a_line(tmp_path: Path) -> None:
    """Plain gradient descent recovers the slope and the intercept of a noisy line."""
    model = regressor()
    fit(model, line(), config(epochs=25, optimizer="sgd", learning_rate=0.1, batch_size=8), tmp_path)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose([*kernel[:, 0], bias[0]], [2.0, -3.0, 1.0], atol=0.02)


def test_class_weights_help_the_rare_class(tmp_path: Path) -> None:
    """Weighted classes move the decision towards the rare one."""
    random = np.random.RandomState(0)
    targets = (np.arange(200) % 20 == 0).astype("int32")
    inputs = (targets[:, None] + random.normal(size=(200, 4))).astype("float32")
    data = ArrayData(ArraySplit(inputs, targets), class_weights={0: 0.53, 1: 10.0})
    found = []
    for on in (False, True):
        model = binary_classifier()
        fit(model, data, config(epochs=8, learning_rate=0.05, class_weights=on), tmp_path / str(on))
        found.append(float(np.mean(model.predict(inputs[targets == 1], verbose=0))))
    assert found[1] > found[0] + 0.2


def test_penalty_makes_kernels_small(tmp_path: Path) -> None:
    """An l2 penalty shrinks the kernel while training and leaves no regularizer on the model."""
    norms = []
    for l2 in (0.0, 1.0):
        model = regressor()
        fit(model, line(), config(optimizer="sgd", learning_rate=0.1, batch_size=8, l2=l2), tmp_path / str(l2))
        norms.append(float(np.abs(model.get_weights()[0]).sum()))
        assert model.losses == []
    assert norms[1] < 0.8 * norms[0]


def test_mixed_precision_leaves_a_float32_model(tmp_path: Path) -> None:
    """After training in bfloat16 the model computes in float32 again, in Keras's own evaluate too."""
    model, data = picture_classifier(), pictures()
    fit(model, data, config(epochs=6, learning_rate=0.05, batch_size=8, mixed_precision="mixed_bfloat16"), tmp_path)
    assert {layer.dtype_policy.name for layer in sublayers(model)} == {"float32"}
    assert data.validation is not None
    inputs, targets = data.validation.inputs, data.validation.targets
    expected = -np.mean(np.log(np.asarray(model(inputs))[np.arange(len(targets)), targets]))
    assert model.evaluate(inputs, targets, verbose=0)[0] == pytest.approx(expected, rel=1e-5)


# === Repeating and resuming ===


def test_same_seed_same_numbers(finished: tuple[Path, keras.Model, TrainingReport], tmp_path: Path) -> None:
    """Two runs with one seed give the same history and parameters to the last bit; another seed does not."""
    _, model, report = finished
    again = classifier()
    assert fit(again, blobs(), DEMANDING, tmp_path / "again").history == report.history
    assert_equal_weights(weights(again), weights(model))
    assert fit(classifier(), blobs(), DEMANDING.replace(seed=1), tmp_path / "other").history != report.history


@pytest.mark.parametrize("at", [(2, 1), (3, 0), (4, 2)], ids=["frozen", "first unfrozen", "unfrozen"])
def test_interrupted_run_ends_alike(at: tuple[int, int], finished: tuple[Path, keras.Model, TrainingReport],
                                    tmp_path: Path) -> None:
    """A run that is interrupted in the middle of any phase ends with the numbers of an uninterrupted one."""
    epoch, batch = at

    def interrupt(event: Any) -> None:
        began = isinstance(event, EpochBegun) and batch == 0 and event.epoch == epoch
        if began or (isinstance(event, BatchDone) and (event.epoch, event.batch) == at):
            raise Interrupted

    before = classifier()
    with pytest.raises(Interrupted):
        fit(before, blobs(), DEMANDING, tmp_path, progress=interrupt)
    assert all(layer.trainable for layer in sublayers(before)) and before.losses == []

    model, seen = classifier(seed=99), []
    report = fit(model, blobs(), DEMANDING, tmp_path, progress=seen.append)
    assert seen[0] == RunResumed(epoch=epoch - 1, epochs=5)
    assert report.resumed_from == epoch - 1
    assert report.history == finished[2].history
    assert_equal_weights(weights(model), weights(finished[1]))


def test_finished_run_is_not_repeated(finished: tuple[Path, keras.Model, TrainingReport]) -> None:
    """The same call after the end trains nothing, gives the report again and loads what was trained."""
    folder, trained, report = finished
    model, seen = classifier(seed=99), []
    again = fit(model, blobs(), DEMANDING, folder, progress=seen.append)
    assert (seen, again.already_finished, again.history) == ([], True, report.history)
    assert again.summary().startswith("5 epochs were trained already; best val_loss")
    assert_equal_weights(weights(model), weights(trained))


@pytest.mark.parametrize(("change", "message"), [
    ({"config": DEMANDING.replace(learning_rate=0.02)}, r"config\.learning_rate was 0\.01 and is now 0\.02"),
    ({"data": blobs(seed=1)}, r"data\.fingerprint was"),
    ({"model": "wide"}, r"model\.parameters was"),
], ids=["config", "data", "model"])
def test_another_run_in_the_folder(change: dict[str, Any], message: str,
                                   finished: tuple[Path, keras.Model, TrainingReport]) -> None:
    """Another configuration, other data or another model do not continue a run."""
    model = classifier()
    if "model" in change:
        x = keras.layers.Dense(5, name="extra")(model.get_layer("hidden").output)
        wide = keras.Model(model.inputs, keras.layers.Dense(3, activation="softmax", name="predictions")(x))
        wide.zoo_record, model = record_of(model), wide
    with pytest.raises(TrainingError, match=message):
        fit(model, change.get("data", blobs()), change.get("config", DEMANDING), finished[0])


def test_restart(tmp_path: Path) -> None:
    """With restart=True another configuration starts afresh in the same folder."""
    fit(classifier(), blobs(), config(epochs=1), tmp_path)
    report = fit(classifier(), blobs(), config(epochs=2), tmp_path, restart=True)
    assert (report.epochs, report.resumed_from, report.already_finished) == (2, None, False)


# === Best epoch, stopping ===


def test_best_epoch_is_restored(tmp_path: Path) -> None:
    """The model ends with the best epoch's parameters: its own loss is the best one in the history."""
    model, data = classifier(), blobs(count=32, spread=3.0)
    report = fit(model, data, config(epochs=10, learning_rate=0.3), tmp_path)
    losses = [epoch["val_loss"] for epoch in report.history]
    assert report.best_epoch < report.epochs and report.best_value == min(losses) == losses[report.best_epoch - 1]
    assert data.validation is not None
    loss, _ = model.evaluate(data.validation.inputs, data.validation.targets, verbose=0)
    assert loss == pytest.approx(report.best_value, rel=1e-5)
    assert report.final["val_loss"] == report.best_value


def test_last_epoch_can_be_kept(tmp_path: Path) -> None:
    """With restore_best=False the model has the last epoch's parameters."""
    model, data = classifier(), blobs(count=32, spread=3.0)
    report = fit(model, data, config(epochs=6, learning_rate=0.3, restore_best=False), tmp_path)
    assert data.validation is not None
    loss, _ = model.evaluate(data.validation.inputs, data.validation.targets, verbose=0)
    assert report.best_epoch < 6
    assert loss == pytest.approx(report.history[-1]["val_loss"], rel=1e-5)


def test_early_stopping(tmp_path: Path) -> None:
    """The run stops after `patience` epochs without progress, and says why."""
    report = fit(classifier(), blobs(count=32, spread=3.0),
                 config(epochs=40, learning_rate=0.3, early_stopping_patience=2), tmp_path)
    assert report.stopped == "early_stopping"
    assert report.epochs == report.best_epoch + 2 < 40


def test_callbacks_see_one_run(tmp_path: Path) -> None:
    """A Keras callback sees one begin and one end of the run, every epoch and batch, and can stop it."""
    seen: list[str] = []

    class Recorder(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            seen.append("begin")

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(f"batch {batch}")

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(f"epoch {epoch} {sorted(logs)}")
            self.model.stop_training = epoch == 1

        def on_train_end(self, logs: Any = None) -> None:
            seen.append("end")

    report = fit(classifier(), blobs(count=64), config(), tmp_path, callbacks=[Recorder()])
    measures = "['accuracy', 'loss', 'val_accuracy', 'val_loss']"
    epochs = [["batch 0", "batch 1", f"epoch {epoch} {measures}"] for epoch in (0, 1)]
    assert seen == ["begin", *epochs[0], *epochs[1], "end"]
    assert (report.stopped, report.epochs) == ("callback", 2)


# === What is told and left behind ===


def test_progress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Progress is told as events in order; nothing is printed."""
    seen: list[Any] = []
    fit(classifier(), blobs(count=40), config(epochs=2, frozen_epochs=1), tmp_path, progress=seen.append)
    assert [type(event) for event in seen] == [EpochBegun, BatchDone, BatchDone, EpochEnded] * 2
    assert [event.frozen for event in seen if isinstance(event, EpochBegun)] == [True, False]
    assert [event.learning_rate for event in seen if isinstance(event, EpochBegun)] == pytest.approx([0.01, 0.001])
    assert [(e.batch, e.batches) for e in seen if isinstance(e, BatchDone)] == [(1, 2), (2, 2)] * 2
    assert seen[3].best and "val_loss" in seen[3].logs
    assert capsys.readouterr() == ("", "")


def test_record_tells_the_training(finished: tuple[Path, keras.Model, TrainingReport]) -> None:
    """The model's record holds configuration, data, history and labels afterwards, JSON-ready."""
    _, model, report = finished
    training = json.loads(json.dumps(record_of(model).training))
    assert TrainingConfig.from_dict(training["config"]) == DEMANDING
    assert training["data"] == blobs().fingerprint
    assert (training["epochs"], training["history"]) == (5, [dict(epoch) for epoch in report.history])
    assert record_of(model).labels == blobs().labels


def test_report_file(finished: tuple[Path, keras.Model, TrainingReport]) -> None:
    """The folder holds the report as JSON, with speed and time."""
    folder, _, report = finished
    read = TrainingReport.from_dict(json.loads((folder / "report.json").read_text()))
    assert read.history == report.history and len(read.seconds) == 5 and read.examples_per_second > 0


def test_only_the_head_learns_while_frozen(tmp_path: Path) -> None:
    """In frozen epochs nothing but the head moves, and all flags are back afterwards."""
    model = classifier()
    before = weights(model.get_layer("hidden")) + weights(model.get_layer("normalization"))
    head = weights(model.get_layer("predictions"))
    fit(model, blobs(), config(epochs=2, frozen_epochs=2), tmp_path)
    assert_equal_weights(before, weights(model.get_layer("hidden")) + weights(model.get_layer("normalization")))
    assert not np.array_equal(head[0], weights(model.get_layer("predictions"))[0])
    assert all(layer.trainable for layer in sublayers(model))


# === Failures ===


def test_no_training_split(tmp_path: Path) -> None:
    """Data without a training split are refused before anything is written."""
    with pytest.raises(ArgumentError, match="The data have no training split"):
        fit(classifier(), ArrayData(None), config(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_loss_that_is_no_number(tmp_path: Path) -> None:
    """A loss of NaN stops the run with epoch and batch and what to try; the checkpoint before is kept."""
    good = line()
    assert good.train is not None
    bad = ArraySplit(good.train.inputs, good.train.targets.copy())
    bad.targets[7] = np.nan
    with pytest.raises(TrainingError, match=r"The loss became nan in epoch 1 of 4, batch \d of 6 \(index \d\).*lower "
                                            r"`learning_rate`"):
        fit(regressor(), ArrayData(bad, good.validation, (), "float"), config(batch_size=8), tmp_path / "data")
    with pytest.raises(TrainingError, match=r"The loss became (inf|nan) in epoch \d+ of 30"):
        fit(regressor(), line(), config(epochs=30, optimizer="sgd", learning_rate=1e6), tmp_path / "rate")


def test_validation_loss_that_is_no_number(tmp_path: Path) -> None:
    """A validation loss of NaN stops the run too."""
    data = line()
    assert data.validation is not None
    data.validation.targets[0] = np.nan
    with pytest.raises(TrainingError, match="'val_loss' became nan at the end of epoch 1 of 4"):
        fit(regressor(), data, config(), tmp_path)


def test_example_that_cannot_be_read(tmp_path: Path) -> None:
    """An example that fails in the stream is a TrainingError with its place; the run goes on once it is repaired."""
    data, broken_epoch = blobs(count=64), [False]
    assert data.train is not None

    def sound(inputs: Any, targets: Any) -> tuple[Any, Any]:
        return tf.debugging.check_numerics(inputs, "photo-17.jpg is broken"), targets

    class Breaking(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            broken_epoch[0] = True

    class Split(ArraySplit):
        def batches(self, batch_size: int, **options: Any) -> Any:
            spoiled = self.inputs.copy()
            if broken_epoch[0]:
                spoiled[:] = np.nan
            return ArraySplit(spoiled, self.targets, sound).batches(batch_size, **options)

    breaking = ArrayData(Split(data.train.inputs, data.train.targets), data.validation, data.labels)
    with pytest.raises(TrainingError, match=r"A step failed in epoch 2 of 4, batch 1 of 2: photo-17\.jpg is broken"):
        fit(classifier(), breaking, config(), tmp_path, callbacks=[Breaking()])
    assert fit(classifier(), data, config(), tmp_path).resumed_from == 1


def test_out_of_memory(tmp_path: Path) -> None:
    """An allocation that the machine refuses is a TrainingError that names the batch size."""
    data = blobs(count=64)
    assert data.train is not None

    class Greedy(ArraySplit):
        def batches(self, batch_size: int, *, shuffle_seed: int | None = None, **options: Any) -> Any:
            if shuffle_seed is not None:
                np.zeros(2**60, "float32")
            return super().batches(batch_size, shuffle_seed=shuffle_seed, **options)

    greedy = ArrayData(Greedy(data.train.inputs, data.train.targets), data.validation, data.labels)
    with pytest.raises(TrainingError, match=r"Out of memory in epoch 1 of 4.*smaller `batch_size` \(now 32\)"):
        fit(classifier(), greedy, config(), tmp_path)
