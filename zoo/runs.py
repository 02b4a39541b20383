"""A run: what `zoo train` makes of a model's name and a dataset, and what `zoo evaluate` adds to it."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import keras

from zoo.build_hub import hub_spec
from zoo.building import preprocessing_of
from zoo.bundle import load, save
from zoo.bundle_index import is_bundle
from zoo.data.images import load_images
from zoo.data.labelled import LabelledData, Split
from zoo.data.named import load_named
from zoo.data.running_texts import load_running_texts
from zoo.data.tables import load_table
from zoo.data.tagged_texts import load_tagged_texts
from zoo.data.text_pairs import load_text_pairs
from zoo.data.texts import TASKS as LABELLED_TEXT_TASKS
from zoo.data.texts import load_texts
from zoo.data_source import NAMED_SCHEMES, DataSource, anywhere
from zoo.errors import ArgumentError, DataError
from zoo.evaluation import EvaluationReport, evaluate, find_threshold
from zoo.registry import default_registry
from zoo.run_folder import (
    CHECKPOINTS,
    REPORT,
    RUN_FILE,
    check_folder,
    read_source,
    swept,
    write_run,
)
from zoo.spec import (
    BytePairPreprocessing,
    ImagePreprocessing,
    ModelRecord,
    ModelSpec,
    Preprocessing,
    TabularPreprocessing,
    TextPreprocessing,
    WordPiecePreprocessing,
    attach_record,
    record_of,
)
from zoo.training import Pause, Progress, TrainingConfig, TrainingReport, fit
from zoo.training.technique import Technique

THRESHOLD_RULES = ("f1", "youden")

__all__ = ["REPORT", "DataSource", "RunResult", "TrainingDataWarning", "evaluate_run", "open_data", "train",
           "trained"]


class TrainingDataWarning(UserWarning):
    """A model is judged by the data it was trained on."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What `train` leaves: the folder, the trained model, its data and the report of the training."""

    folder: Path
    model: keras.Model
    data: LabelledData
    report: TrainingReport


def train(name: str, source: DataSource, folder: str | os.PathLike[str], config: TrainingConfig | None = None, *,
          build: Mapping[str, Any] | None = None, progress: Progress | None = None, pause: Pause | None = None,
          restart: bool = False, announce: Any = None, built: Any = None, notes: Mapping[str, Any] | None = None,
          techniques: Sequence[Technique] = (), like: ModelRecord | None = None) -> RunResult:
    """Reads data, builds a model that fits them, trains it and saves it with everything that belongs to it.

    The same call after a crash goes on at the epoch where the run was.

    Args:
        name: A registered model.
        source: The examples.
        folder: The run's folder.
        config: How to train; None takes the defaults of the model's own source.
        build: Further arguments of `zoo.build`.
        progress: Called with the events of the training.
        pause: Asked after each saved epoch; True ends this call with the best model so far saved, and the same call
            goes on later (see `zoo.training.fit`).
        restart: Whether to start afresh in a folder that holds another run.
        announce: Called with the data before training begins.
        built: Called with the model before training begins; what it raises ends the run before anything is written.
        notes: JSON-ready entries beside the training's own in the saved record, such as the search that a run is
            part of.
        techniques: What takes part in the training besides the loss; see `zoo.training.fit`.
        like: The record of a model, such as a teacher, whose labels and, for texts and tables, whose way of reading
            them the new model shares.

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
    registry.check(spec.name, **arguments)  # before minutes of reading data
    check_folder(Path(folder), source)
    spec = hub_spec(spec, arguments.get("weights"), arguments)
    _check_task(spec, arguments.get("task"))
    wanted = preprocessing_of(spec, weights=arguments.get("weights"), input_shape=arguments.get("input_shape"),
                              vocabulary=arguments.get("vocabulary"))
    if like is not None:
        wanted = _shared_reading(wanted, spec, like, arguments)
    data = open_data(_within(source, arguments.get("max_positions")), spec, wanted, task=arguments.get("task"),
                     labels=(like.labels or None) if like is not None else None)
    if announce is not None:
        announce(data)
    arguments |= _arguments_from(data, spec, source)
    model = registry.build(spec.name, **arguments)
    if built is not None:
        built(model)
    return trained(model, data, source, folder, config, progress=progress, pause=pause, restart=restart, notes=notes,
                   techniques=techniques)


def trained(model: keras.Model, data: LabelledData, source: DataSource, folder: str | os.PathLike[str],
            config: TrainingConfig, *, notes: Mapping[str, Any] | None = None, **options: Any) -> RunResult:
    """Trains a model on data that were read and leaves a run's folder.

    Args:
        model: A model with a record.
        data: What it learns from.
        source: Where they come from.
        folder: The run's folder.
        config: How to train.
        notes: JSON-ready entries beside the training's own in the saved record.
        **options: Further arguments of `zoo.training.fit`.

    Returns:
        The trained model, its data and its report.

    Raises:
        ZooError: They do not fit together, or the training failed.
    """
    with swept(Path(folder)):
        report = fit(model, data, config, Path(folder) / CHECKPOINTS, **options)
    record = record_of(model)
    if notes:
        attach_record(model, record.replace(training={**record.training, **notes}))
    if report.already_finished:
        _keep_judgement(model, Path(folder))
    write_run(Path(folder), record.name, source, config.to_dict(), data.report.to_dict())
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
    if threshold is not None and threshold_rule is not None:
        raise ArgumentError("A threshold is given or chosen, not both: leave out `threshold` or `threshold_rule`.")
    if threshold_rule not in (None, *THRESHOLD_RULES):
        raise ArgumentError(f"`threshold_rule` must be one of {', '.join(THRESHOLD_RULES)}. "
                            f"Received: {threshold_rule!r}")
    model = load(folder)
    record = record_of(model)
    if (threshold is not None or threshold_rule is not None) and record.task != "binary_classification":
        raise ArgumentError(f"A threshold decides between two classes; the model in {folder} is made for "
                            f"{record.task.replace('_', ' ')}. Leave `threshold` and `threshold_rule` out.")
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
    report.save(Path(report_folder) if report_folder is not None else Path(folder) / REPORT, history=history)
    measured = {"examples": report.examples, "data": data.fingerprint, **report.values}
    attach_record(model, record.replace(metrics={**record.metrics, part: measured}))
    save(model, folder)
    return report


def _check_task(spec: ModelSpec, task: Any) -> None:
    known = spec.tasks or (spec.task,)
    if task is not None and task not in known:
        raise ArgumentError(f"{spec.name} has no head for the task {task!r}. It is built for: {', '.join(known)}.")


def _shared_reading(wanted: Preprocessing, spec: ModelSpec, like: ModelRecord,
                    arguments: Mapping[str, Any]) -> Preprocessing:
    """Lets a model without weights of its own read texts and tables as another one does."""
    shared = spec.input_kind == like.input_kind != "image" and arguments.get("weights") is None
    return like.preprocessing if shared else wanted


def _within(source: DataSource, positions: Any) -> DataSource:
    """Cuts texts to the positions that the user gives a model, if no other length is said."""
    if source.max_length is None and isinstance(positions, int) and positions > 0:
        return dataclasses.replace(source, max_length=positions)
    return source


def open_data(source: DataSource, spec: ModelSpec | ModelRecord, preprocessing: Preprocessing,
              labels: tuple[str, ...] | None = None, task: str | None = None) -> LabelledData:
    """Reads and splits a dataset for a kind of model.

    Args:
        source: The examples.
        spec: The model that they are for; its input kind and task decide how they are read.
        preprocessing: What turns them into the model's input; a vocabulary, means and categories that it lacks are
            learnt from the training part.
        labels: Class names in the order of the model's output; None takes those of the data.
        task: What the model is built for; None takes the task of `spec`.

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
        return load_named(source.path, _shortened(preprocessing, source.max_length), **common)  # type: ignore[arg-type]
    if spec.input_kind == "image":
        return load_images(source.path, cast(ImagePreprocessing, preprocessing), labels=labels, **common)  # type: ignore[arg-type]
    if spec.input_kind == "text":
        return _open_texts(source, task or spec.task, preprocessing, labels, common)
    return _open_table(source, spec, preprocessing, labels, common)


def _open_texts(source: DataSource, task: str, preprocessing: Preprocessing, labels: tuple[str, ...] | None,
                common: Mapping[str, Any]) -> LabelledData:
    wanted: Any = _shortened(preprocessing, source.max_length)
    named = {"text_column": source.text_column, "text_pair_column": source.text_pair_column,
             "label_column": source.label_column}
    if task in LABELLED_TEXT_TASKS:
        columns: dict[str, Any] = {name: value or None for name, value in named.items()}
        return load_texts(source.path, wanted, task=cast(Any, task), labels=labels, max_words=source.max_words,
                          **columns, **common)
    if task == "embedding":
        pair_columns: dict[str, Any] = {name: value or None for name, value in named.items()}
        return load_text_pairs(source.path, wanted, max_words=source.max_words, **pair_columns, **common)
    without = next((name for name, value in named.items() if value), None)
    if without is not None:
        raise ArgumentError(f"`{without}` names a column of a table, and data for {task.replace('_', ' ')} have none. "
                            "Leave it out.")
    if task == "token_classification":
        return load_tagged_texts(source.path, wanted, labels=labels, max_words=source.max_words, **common)
    if task in ("language_model", "masked_language_model"):
        fractions = {name: common[name] for name in ("validation_fraction", "test_fraction")}
        return load_running_texts(source.path, wanted, task=cast(Any, task), max_words=source.max_words, **fractions)
    raise ArgumentError(f"The task {task!r} is neither trained nor judged on data. Build the model for another task, "
                        "such as --task classification (task='classification' in Python).")


def _shortened(preprocessing: Preprocessing, max_length: int | None) -> Preprocessing:
    if max_length is None or not isinstance(preprocessing, TextPreprocessing | WordPiecePreprocessing
                                            | BytePairPreprocessing):
        return preprocessing
    return dataclasses.replace(preprocessing, max_length=max_length)


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
        whole = dataclasses.replace(_completed(source, folder), validation_fraction=0.0, test_fraction=0.0)
        data = open_data(whole, record, record.preprocessing, labels)
        return data, data.test or data.train, "given"
    data = open_data(read_source(folder), record, record.preprocessing, labels)
    expected = record.training.get("data")
    if expected and expected != data.fingerprint:
        raise DataError(f"The data have changed since {folder} was trained on them, so the held-out part is not the "
                        "same. Bring the old data back, or judge by other examples: --data PATH.")
    if data.test is not None:
        return data, data.test, "test"
    if data.validation is not None:
        return data, data.validation, "validation"
    raise DataError(f"The run in {folder} held nothing out. Judge it by other examples: --data PATH.")


def _completed(source: DataSource, folder: Path) -> DataSource:
    """Reads other examples as the run's own were read, in everything that is not said."""
    if not (folder / RUN_FILE).is_file():
        return source
    own = read_source(folder)
    if own.path == anywhere(source).path:
        warnings.warn(f"The model in {folder} was trained on a part of {source.path}, so these figures are better than "
                      "those on new examples. Leave the data out to judge by the part that was held out.",
                      TrainingDataWarning, stacklevel=4)
    names = ("target", "columns", "shape", "text_column", "text_pair_column", "label_column", "max_length")
    return dataclasses.replace(source, **{name: getattr(own, name) for name in names
                                          if getattr(source, name) == getattr(DataSource(path=""), name)})


def _keep_judgement(model: keras.Model, folder: Path) -> None:
    """Lets a run that was finished before keep its measured figures and its chosen threshold."""
    if not is_bundle(folder):
        return
    saved, record = record_of(load(folder)), record_of(model)
    if saved.replace(metrics={}, threshold=record.threshold).to_dict() == record.replace(metrics={}).to_dict():
        attach_record(model, record.replace(metrics=saved.metrics, threshold=saved.threshold))
