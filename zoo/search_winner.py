"""What a search found, read from its folder: enough to build or train the model of a trial again.

The files are written by `tuning`; this reads them as data, so that a winner is rebuilt where no search can run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.bundle_index import INDEX_NAME, require_bundle
from zoo.data_source import DataSource
from zoo.errors import ArgumentError, BundleError
from zoo.spec import ModelRecord

WINNER_FILE = "winner.json"
RECIPE_FILE = "recipe.json"  # the same of any trial, in the trial's own folder
_CONFIG_FILE = "search.json"
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class SearchWinner:
    """A trial of a search, as far as its model is concerned.

    Attributes:
        search: The search's folder.
        trial: The trial's id.
        model: The registered model.
        build: Arguments of `zoo.build`.
        training: Fields of `zoo.training.TrainingConfig`.
        data: The examples, as the search read and split them.
        values: The hyperparameters by name.
        measures: What they led to.
        run: The trial's run folder.
    """

    search: Path
    trial: str
    model: str
    build: Mapping[str, Any]
    training: Mapping[str, Any]
    data: DataSource
    values: Mapping[str, Any]
    measures: Mapping[str, float]
    run: Path

    def record(self) -> ModelRecord:
        """Returns the record of the trial's trained model: labels, preprocessing, arguments of its build.

        Raises:
            BundleError: The trial's folder holds no model any more.
        """
        require_bundle(self.run)
        try:
            return ModelRecord.from_dict(json.loads((self.run / INDEX_NAME).read_text())["record"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{self.run / INDEX_NAME} cannot be read: {error}") from error


def read_winner(search: str | os.PathLike[str], trial: str | None = None) -> SearchWinner:
    """Reads what a search's best trial was, or another of its trials.

    Args:
        search: The search's folder.
        trial: The trial's id, such as "0007" or "7"; None takes the best one.

    Returns:
        The trial.

    Raises:
        BundleError: There is no search, no such trial, or none has finished yet.
        ArgumentError: The search was for a hypermodel, which no registered model stands for.
    """
    folder = Path(search)
    path = folder / WINNER_FILE if trial is None else _recipe(folder, trial)
    values = _read(folder, path, trial)
    if not values.get("model"):
        raise ArgumentError(f"The search in {folder} was for a hypermodel of your own, which is no registered model. "
                            "KerasTuner's tuner.get_best_models() opens its trials.")
    try:
        data = DataSource.from_dict(values["data"])
        kept = Path(values["run"])
        # a search that was moved or copied: its folders stand where it is now
        here = folder / kept.parent.name / kept.name
        return SearchWinner(search=folder, trial=str(values["trial"]), model=values["model"],
                            build=_tuples(values["build"]), training=dict(values["training"]), data=data,
                            values=dict(values["values"]), measures=dict(values["measures"]),
                            run=here if here.is_dir() else kept)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"{path} is not what a search writes: {error!r}.") from None


def _recipe(folder: Path, trial: str) -> Path:
    names = {path.name.removeprefix("trial_"): path for path in folder.glob("trial_*") if path.is_dir()}
    found = names.get(trial) or next((path for name, path in sorted(names.items())
                                      if trial.isdigit() and name.isdigit() and int(name) == int(trial)), None)
    return (found or folder / f"trial_{Path(trial).name}") / RECIPE_FILE


def _read(folder: Path, path: Path, trial: str | None) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        if not (folder / _CONFIG_FILE).is_file() and not (folder / WINNER_FILE).is_file():
            raise BundleError(f"There is no search in {folder}: {_CONFIG_FILE} is missing. Give the folder that "
                              "`zoo tune --output` wrote.") from None
        if trial is None:
            raise BundleError(f"The search in {folder} has no best trial yet: none has finished and met the "
                              "constraints. `zoo tune status` shows where it is.") from None
        raise BundleError(f"The search in {folder} has no finished trial {trial!r}. `zoo tune status {folder}` lists "
                          "them.") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict) or values.get("format") != _FORMAT:
        raise BundleError(f"{path} is not a file of format {_FORMAT}, which this version reads. Update servable-zoo.")
    return values


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
