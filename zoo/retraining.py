"""Training that begins with a trained model: `zoo train RUN [DATA]`, for eight bits, with a teacher, or on new data."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from zoo.bundle import load
from zoo.bundle_index import INDEX_NAME, require_bundle
from zoo.data_source import DataSource
from zoo.errors import BundleError
from zoo.run_folder import RUN_FILE, check_folder, read_source
from zoo.runs import RunResult, open_data, trained
from zoo.spec import ModelRecord, attach_record, record_of
from zoo.training import Pause, Progress, TrainingConfig
from zoo.training.technique import Technique

# A trained model needs small steps and few of them.
GENTLER = 0.1
_EPOCHS = 5
_ANEW: Mapping[str, Any] = MappingProxyType({"epochs": _EPOCHS, "frozen_epochs": 0, "warmup_epochs": 0.0,
                                             "unfreeze_every": None, "lora_rank": None, "early_stopping_patience": None,
                                             "schedule": "cosine", "schedule_factor": None, "schedule_epochs": None})


def retrain(start: str | os.PathLike[str], folder: str | os.PathLike[str], config: TrainingConfig | None = None, *,
            source: DataSource | None = None, techniques: Sequence[Technique] = (), progress: Progress | None = None,
            pause: Pause | None = None, restart: bool = False, announce: Any = None,
            notes: Mapping[str, Any] | None = None) -> RunResult:
    """Goes on training a saved model, in a folder of its own; the model that it began with stays as it is.

    Args:
        start: The folder of a run, or any that `zoo.save` wrote.
        folder: The new run's folder.
        config: How to train; None takes `gentle_config`.
        source: The examples; None takes those that the run was trained on, split alike.
        techniques: What takes part besides the loss.
        progress: Called with the events of the training.
        pause: See `zoo.training.fit`.
        restart: Whether to start afresh in a folder that holds another run.
        announce: Called with the data before training begins.
        notes: JSON-ready entries beside the training's own in the saved record.

    Returns:
        The trained model, its data and its report.

    Raises:
        ZooError: What was given cannot be used; the message says what to do.
    """
    index = _index_of(Path(start))
    source = read_source(Path(start)) if source is None else source
    check_folder(Path(folder), source)
    model = load(start)
    record = record_of(model)
    attach_record(model, record.replace(metrics={}, weights={
        **record.weights, "trained_from": index["files"]["weights"]["sha256"]}))
    data = open_data(source, record, record.preprocessing, record.labels or None)
    if announce is not None:
        announce(data)
    return trained(model, data, source, folder, config or gentle_config(record), progress=progress, pause=pause,
                   restart=restart, notes=notes, techniques=techniques)


def gentle_config(record: ModelRecord, **changes: Any) -> TrainingConfig:
    """Returns the training that a model had, with a tenth of the learning rate, 5 epochs and all parameters learning.

    Args:
        record: The trained model's.
        **changes: Fields of `TrainingConfig` that win.

    Returns:
        The configuration.

    Raises:
        ArgumentError: A field is unknown or out of its range.
    """
    before = dict(record.training.get("config", {}))
    rate = before.get("learning_rate", TrainingConfig().learning_rate) * GENTLER
    return TrainingConfig.from_dict({**before, **_ANEW, "learning_rate": rate, **changes})


def known_source(start: str | os.PathLike[str]) -> DataSource | None:
    """Returns the data that a saved model was trained on, or None where its folder does not say."""
    return read_source(Path(start)) if (Path(start) / RUN_FILE).is_file() else None


def saved_record(start: str | os.PathLike[str]) -> ModelRecord:
    """Returns a saved model's record without building the model.

    Raises:
        BundleError: There is no saved model, or it cannot be read.
    """
    return ModelRecord.from_dict(_index_of(Path(start))["record"])


def _index_of(folder: Path) -> dict[str, Any]:
    require_bundle(folder)
    try:
        index: dict[str, Any] = json.loads((folder / INDEX_NAME).read_text())
        return index
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder / INDEX_NAME} cannot be read: {error}") from error
