"""Training and judging from Python: `zoo.runs`, which the commands call."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import zoo
from tests.command_line import snapshot, write_line
from tests.conftest import Workplace
from zoo.runs import DataSource, TrainingDataWarning, evaluate_run, open_data, train
from zoo.spec import ImagePreprocessing
from zoo.training import TrainingConfig


def line(place: Workplace, **changes: Any) -> DataSource:
    return DataSource(path=str(place.folder / "line.csv"), **{"target": ("y",), **changes})


def parameters(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(weight) for weight in model.weights]


def test_a_line_is_found(workplace: Workplace, tmp_path: Path) -> None:
    """From a table to its W and b, and the saved model is the trained one."""
    config = TrainingConfig(epochs=12, batch_size=4, optimizer="sgd", learning_rate=0.1)
    seen: list[str] = []
    result = train("linear_regression", line(workplace), tmp_path / "r", config,
                   announce=lambda data: seen.append("data"), progress=lambda event: seen.append(type(event).__name__))
    assert seen[0] == "data"
    assert seen.count("EpochEnded") == 12
    report = evaluate_run(tmp_path / "r", bootstrap_samples=0)
    assert report.values["r2"] > 0.999
    loaded = zoo.load(tmp_path / "r")
    for saved, trained in zip(parameters(loaded), parameters(result.model), strict=True):
        np.testing.assert_array_equal(saved, trained)
    assert zoo.record_of(loaded).metrics["test"]["r2"] == report.values["r2"]


def test_the_data_decide_labels_and_size(workplace: Workplace, tmp_path: Path) -> None:
    """Class folders give the labels and the head; `input_shape` gives the pictures' size; both are saved."""
    result = train("mnist_cnn", DataSource(path=str(workplace.digits)), tmp_path / "r", TrainingConfig(epochs=1),
                   build={"input_shape": (9, 7, 1)})
    record = zoo.record_of(zoo.load(tmp_path / "r"))
    assert record.labels == result.data.labels == ("0", "1", "2")
    assert isinstance(record.preprocessing, ImagePreprocessing)
    assert (record.preprocessing.height, record.preprocessing.width) == (9, 7)
    assert result.model.output_shape == (None, 3)


def test_several_targets_give_several_outputs(tmp_path: Path) -> None:
    """A regression predicts as many columns as are named."""
    table = write_line(tmp_path / "line.csv")
    result = train("linear_regression", DataSource(path=str(table), target=("y", "b")), tmp_path / "r",
                   TrainingConfig(epochs=1))
    assert result.model.output_shape == (None, 2)


def test_a_run_holds_out_the_same_part_when_judged(workplace: Workplace, tmp_path: Path) -> None:
    """Without other examples the test part is judged; without a test part, the validation part."""
    for test_fraction, part in ((0.2, "test"), (0.0, "validation")):
        folder = tmp_path / part
        result = train("linear_regression", line(workplace, test_fraction=test_fraction), folder,
                       TrainingConfig(epochs=1))
        held = result.data.test or result.data.validation
        assert held is not None
        assert evaluate_run(folder, bootstrap_samples=0).examples == held.count
        assert set(zoo.record_of(zoo.load(folder)).metrics) == {part}


def test_a_run_that_held_nothing_out_says_so(workplace: Workplace, tmp_path: Path) -> None:
    """There is nothing to judge by but other examples."""
    source = line(workplace, test_fraction=0.0, validation_fraction=0.0)
    train("linear_regression", source, tmp_path / "r", TrainingConfig(epochs=1))
    with pytest.raises(zoo.DataError, match=r"held nothing out.*--data PATH"):
        evaluate_run(tmp_path / "r")
    with pytest.warns(TrainingDataWarning, match="trained on a part of"):
        assert evaluate_run(tmp_path / "r", line(workplace), bootstrap_samples=0).examples == 60


def test_any_saved_model_is_judged_by_named_examples(workplace: Workplace, tmp_path: Path) -> None:
    """A folder of zoo.save has no data of its own; with named ones it is judged like a run."""
    zoo.save(zoo.load(workplace.run("pictures")), tmp_path / "m")
    with pytest.raises(zoo.BundleError, match="does not say which data"):
        evaluate_run(tmp_path / "m")
    report = evaluate_run(tmp_path / "m", DataSource(path=str(workplace.digits)), bootstrap_samples=0)
    assert report.examples == 48
    assert (tmp_path / "m" / "report" / "report.json").is_file()


def test_a_chosen_threshold_is_kept_and_a_given_one_is_not(workplace: Workplace, tmp_path: Path) -> None:
    """`threshold_rule` changes the model's record, `threshold` only the report."""
    run = Path(shutil.copytree(workplace.run("points"), tmp_path / "r"))
    assert evaluate_run(run, threshold=0.9, bootstrap_samples=0).threshold == 0.9
    assert zoo.record_of(zoo.load(run)).threshold == 0.5
    chosen = evaluate_run(run, threshold_rule="youden", bootstrap_samples=0).threshold
    assert zoo.record_of(zoo.load(run)).threshold == chosen
    assert evaluate_run(run, bootstrap_samples=0).threshold == chosen


def test_arguments_are_checked_before_the_data_are_read(workplace: Workplace, tmp_path: Path) -> None:
    """A misspelled builder option does not wait for a million pictures."""
    seen: list[Any] = []
    with pytest.raises(zoo.ArgumentError, match="Did you mean 'dropout'"):
        train("mnist_cnn", DataSource(path=str(workplace.digits)), tmp_path / "r", build={"drouput": 0.1},
              announce=seen.append)
    assert seen == []
    assert not (tmp_path / "r").exists()


def test_another_run_in_the_folder_is_refused_and_left_whole(workplace: Workplace, tmp_path: Path) -> None:
    """Other data, another model or another configuration need another folder, or restart."""
    run = Path(shutil.copytree(workplace.run("line"), tmp_path / "r"))
    before = snapshot(run)
    config = TrainingConfig.from_dict(json.loads((run / "run.json").read_text())["config"])
    for source, settings in ((line(workplace), config.replace(learning_rate=0.5)),
                             (line(workplace, seed=5), config), (line(workplace, columns=("a",)), config)):
        with pytest.raises(zoo.TrainingError, match="training run of another kind"):
            train("linear_regression", source, run, settings)
        assert snapshot(run) == before
    train("linear_regression", line(workplace), run, config)  # its own goes on


def test_a_binary_model_wants_two_classes(workplace: Workplace, tmp_path: Path) -> None:
    """Three labels for a model of two classes are told before training."""
    with pytest.raises(zoo.DataError, match="classes"):
        train("mlp_binary", DataSource(path=str(workplace.folder / "series.csv"), target=("t1",)), tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_series_keeps_its_shape_when_judged(workplace: Workplace) -> None:
    """The record knows how a row is cut into steps, so judging needs no shape."""
    record = zoo.record_of(zoo.load(workplace.run("series")))
    source = DataSource(path=str(workplace.folder / "series.csv"), target=("label",))
    data = open_data(source, record, record.preprocessing, record.labels)
    inputs, _ = next(iter(data.train.batches(2)))
    assert tuple(inputs.shape) == (2, 6, 1)
    with pytest.raises(zoo.ArgumentError, match="--shape STEPS,FEATURES"):
        open_data(source, zoo.info("rnn"), zoo.info("rnn").preprocessing)


def test_a_source_is_plain_data() -> None:
    """It survives JSON, so that a run can write it down."""
    source = DataSource(path="x", target=("y",), shape=(2, 3), keep_duplicates=True)
    assert json.loads(json.dumps(dataclasses.asdict(source)))["shape"] == [2, 3]
