"""A run folder: what `zoo train` makes of a model's name and a dataset, and what `zoo evaluate` adds to it.

    <folder>/bundle.json, weights-*.safetensors   the trained model (zoo.load opens it)
    <folder>/run.json                             model, data and configuration, so that evaluation finds the same split
    <folder>/cleaning.json                        which examples were left out, and why
    <folder>/checkpoints/                         the state after each epoch; the same command goes on from there
    <folder>/report/                              the evaluation: report.json, report.md and plots
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import keras

from zoo.building import preprocessing_of
from zoo.bundle import load, save
from zoo.bundle_index import is_bundle
from zoo.data.images import load_images
from zoo.data.labelled import LabelledData, Split
from zoo.data.named import load_named
from zoo.data.tables import load_table
from zoo.data.texts import load_texts
from zoo.errors import ArgumentError, BundleError, DataError
from zoo.evaluation import EvaluationReport, evaluate, find_threshold
from zoo.registry import default_registry
from zoo.spec import (
    ImagePreprocessing,
    ModelRecord,
    ModelSpec,
    Preprocessing,
    TabularPreprocessing,
    TextPreprocessing,
    attach_record,
    record_of,
)
from zoo.training import Progress, TrainingConfig, TrainingReport, fit

RUN_FILE = "run.json"
CLEANING_FILE = "cleaning.json"
CHECKPOINTS = "checkpoints"
REPORT = "report"
NAMED_SCHEMES = ("keras:", "tfds:")


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Which examples to use, and how to read and split them.

    Attributes:
        path: A folder or file, or the name of a public dataset ("keras:mnist", "tfds:...").
        target: Columns of a table to predict.
        columns: Columns of a table to predict from; empty for all the others.
        shape: What a row of a table is reshaped to, (steps, features), for models of series.
        text_column: Column of the text; empty to guess it.
        label_column: Column of the label; empty to guess it.
        max_length: Words kept of each text.
        max_words: Size of a learnt vocabulary.
        validation_fraction: Fraction in [0, 1) to choose by.
        test_fraction: Fraction in [0, 1) to judge by.
        seed: Chooses the examples of the parts.
        keep_duplicates: Whether equal examples are all used; None takes the default of the kind of data.
    """

    path: str
    target: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    text_column: str = ""
    label_column: str = ""
    max_length: int = 128
    max_words: int = 20_000
    validation_fraction: float = 0.15
    test_fraction: float = 0.15
    seed: int = 0
    keep_duplicates: bool | None = None


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What `train` leaves: the folder, the trained model, its data and the report of the training."""

    folder: Path
    model: keras.Model
    data: LabelledData
    report: TrainingReport


def train(name: str, source: DataSource, folder: str | os.PathLike[str], config: TrainingConfig | None = None, *,
          build: Mapping[str, Any] | None = None, progress: Progress | None = None, restart: bool = False,
          announce: Any = None) -> RunResult:
    """Reads data, builds a model that fits them, trains it and saves it with everything that belongs to it.

    The same call after a crash goes on at the epoch where the run was.

    Args:
        name: A registered model.
        source: The examples.
        folder: The run's folder.
        config: How to train; None takes the defaults of the model's own source.
        build: Further arguments of `zoo.build`.
        progress: Called with the events of the training.
        restart: Whether to start afresh in a folder that holds another run.
        announce: Called with the data before training begins.

    Returns:
        The trained model, its data and its report.

    Raises:
        ZooError: What was given cannot be used; the message says what to do.
    """
    registry = default_registry()
    spec, tag = registry.resolve(name)
    arguments = dict(build or {})
    if tag is not None:
        arguments.setdefault("weights", tag)
    config = config or TrainingConfig.for_spec(spec.training)
    arguments.setdefault("seed", config.seed)
    _check_folder(Path(folder))
    wanted = preprocessing_of(spec, weights=arguments.get("weights"), input_shape=arguments.get("input_shape"))
    data = open_data(source, spec, wanted)
    if announce is not None:
        announce(data)
    arguments |= _arguments_from(data, spec, source)
    model = registry.build(spec.name, **arguments)
    report = fit(model, data, config, Path(folder) / CHECKPOINTS, progress=progress, restart=restart)
    _write_json(Path(folder) / CLEANING_FILE, data.report.to_dict())
    _write_json(Path(folder) / RUN_FILE, {"model": spec.name, "data": dataclasses.asdict(source),
                                          "config": config.to_dict()})
    save(model, folder)
    return RunResult(folder=Path(folder), model=model, data=data, report=report)


def evaluate_run(folder: str | os.PathLike[str], source: DataSource | None = None, *,
                 report_folder: str | os.PathLike[str] | None = None, threshold: float | None = None,
                 threshold_rule: str | None = None, bootstrap_samples: int = 1000, batch_size: int = 32,
                 progress: Any = None) -> EvaluationReport:
    """Judges a saved model on examples it was not trained on, and writes the report.

    Args:
        folder: A run's folder, or any folder that `zoo.save` wrote.
        source: Examples to judge by, all of them; None takes the test part of the data that the run was trained on
            (its validation part if it has no test part).
        report_folder: Where the report goes; None puts it into the run's folder.
        threshold: Probability in [0, 1] from which a binary model says the second label; None takes the model's own.
        threshold_rule: "f1" or "youden" chooses the threshold on the validation part and saves it with the model.
        bootstrap_samples: Resamples for the 95% intervals; 0 for none.
        batch_size: Examples per step.
        progress: Called with (examples done, examples in all).

    Returns:
        The report; its figures are saved with the model, too.

    Raises:
        ZooError: What was given cannot be used; the message says what to do.
    """
    model = load(folder)
    record = record_of(model)
    data, split, part = _judged_part(Path(folder), source, record)
    if threshold_rule is not None:
        if data.validation is None:
            raise DataError("A threshold is chosen on a validation part, and these data have none.")
        threshold = find_threshold(model, data.validation, rule=cast(Any, threshold_rule),
                                   batch_size=batch_size).threshold
        record = record.replace(threshold=threshold)
    report = evaluate(model, split, labels=record.labels, task=record.task, threshold=threshold,
                      bootstrap_samples=bootstrap_samples, batch_size=batch_size, progress=progress)
    history = record.training.get("history", ())
    report.save(report_folder if report_folder is not None else Path(folder) / REPORT, history=history)
    measured = {"examples": report.examples, "data": data.fingerprint, **report.values}
    attach_record(model, record.replace(metrics={**record.metrics, part: measured}))
    save(model, folder)
    return report


def open_data(source: DataSource, spec: ModelSpec | ModelRecord, preprocessing: Preprocessing,
              labels: tuple[str, ...] | None = None) -> LabelledData:
    """Reads and splits a dataset for a kind of model.

    Args:
        source: The examples.
        spec: The model that they are for; its input kind and task decide how they are read.
        preprocessing: What turns them into the model's input; a vocabulary, means and categories that it lacks are
            learnt from the training part.
        labels: Class names in the order of the model's output; None takes those of the data.

    Returns:
        The data.

    Raises:
        DataError: The data cannot be used.
        ArgumentError: The kind of data does not fit the model.
    """
    common = {"validation_fraction": source.validation_fraction, "test_fraction": source.test_fraction,
              "seed": source.seed}
    if source.keep_duplicates is not None:
        common["keep_duplicates"] = source.keep_duplicates
    if source.path.startswith(NAMED_SCHEMES):
        return load_named(source.path, preprocessing, **common)  # type: ignore[arg-type]
    if spec.input_kind == "image":
        return load_images(source.path, cast(ImagePreprocessing, preprocessing), labels=labels, **common)  # type: ignore[arg-type]
    if spec.input_kind == "text":
        learnt = isinstance(preprocessing, TextPreprocessing) and preprocessing.vocabulary
        return load_texts(source.path, cast(TextPreprocessing, preprocessing) if learnt else None, labels=labels,
                          text_column=source.text_column or None, label_column=source.label_column or None,
                          max_length=source.max_length, max_words=source.max_words, **common)  # type: ignore[arg-type]
    return _open_table(source, spec, preprocessing, labels, common)


def _open_table(source: DataSource, spec: ModelSpec | ModelRecord, preprocessing: Preprocessing,
                labels: tuple[str, ...] | None, common: Mapping[str, Any]) -> LabelledData:
    if isinstance(spec, ModelSpec) and len(spec.inputs) > 1:
        names = " and ".join(tensor.name for tensor in spec.inputs)
        raise ArgumentError(f"{spec.name} takes two inputs ({names}), which a table cannot hold. Train it from Python: "
                            "zoo.data.from_arrays and zoo.training.fit.")
    if not source.target:
        raise ArgumentError("A table needs to know which column to predict. Name it: --target COLUMN "
                            "(DataSource(target=...) in Python).")
    shape = source.shape
    if spec.input_kind == "sequence" and not shape and isinstance(spec, ModelSpec):
        raise ArgumentError(f"{spec.name} reads series. Say how a row is cut into steps: --shape STEPS,FEATURES "
                            "(DataSource(shape=...) in Python), such as 24,1 for 24 columns of one number each.")
    target: Any = source.target[0] if len(source.target) == 1 else list(source.target)
    known = preprocessing if isinstance(preprocessing, TabularPreprocessing) else None
    return load_table(source.path, target, task=cast(Any, spec.task), columns=list(source.columns) or None,
                      shape=shape, preprocessing=known, labels=labels, **common)


def _arguments_from(data: LabelledData, spec: ModelSpec, source: DataSource) -> dict[str, Any]:
    arguments: dict[str, Any] = {"preprocessing": data.preprocessing}
    if data.labels:
        if spec.task == "binary_classification" and len(data.labels) != 2:
            raise DataError(f"{spec.name} tells two classes apart, and the data have {len(data.labels)}: "
                            f"{', '.join(data.labels[:5])}. Choose a model for more classes.")
        arguments["labels"] = data.labels
    elif len(source.target) > 1:
        arguments["outputs"] = len(source.target)
    return arguments


def _judged_part(folder: Path, source: DataSource | None, record: ModelRecord) -> tuple[LabelledData, Split, str]:
    labels = record.labels or None
    if source is not None:
        whole = dataclasses.replace(source, validation_fraction=0.0, test_fraction=0.0)
        data = open_data(whole, record, record.preprocessing, labels)
        return data, data.test or data.train, "given"
    data = open_data(_source_of(folder), record, record.preprocessing, labels)
    expected = record.training.get("data")
    if expected and expected != data.fingerprint:
        raise DataError(f"The data have changed since {folder} was trained on them, so the held-out part is not the "
                        "same. Bring the old data back, or judge by other examples: --data PATH.")
    if data.test is not None:
        return data, data.test, "test"
    if data.validation is not None:
        return data, data.validation, "validation"
    raise DataError(f"The run in {folder} held nothing out. Judge it by other examples: --data PATH.")


def _source_of(folder: Path) -> DataSource:
    path = folder / RUN_FILE
    try:
        values = json.loads(path.read_text())["data"]
        return DataSource(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except FileNotFoundError:
        raise BundleError(f"{folder} does not say which data its model was trained on ({RUN_FILE} is missing). "
                          "Name the examples to judge by: --data PATH.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} cannot be read: {error}. Name the examples to judge by: --data PATH.") from error


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"{folder} is a file. Name a folder for the run.")
    ours = (folder / RUN_FILE).is_file() or (folder / CHECKPOINTS).is_dir() or is_bundle(folder)
    if folder.is_dir() and any(folder.iterdir()) and not ours:
        raise ArgumentError(f"{folder} holds files that are not a run's. Name a new or empty folder.")


def _write_json(path: Path, data: Any) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(data, indent=1) + "\n")
    temporary.replace(path)
