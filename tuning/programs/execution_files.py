"""The files of a hypermodel's execution: what a killed one goes on from, and what KerasTuner's tuners open.

    <execution>/epochs.json               the measures of each epoch, and which file holds the parameters
    <execution>/epoch-00003.safetensors   parameters and optimizer after the last finished epoch
    <execution>/best.safetensors          the same of the best epoch
    <trial>/checkpoint.weights.h5         the best parameters of all executions, where KerasTuner looks for them
    <trial>/build_config.json             the shapes that a model without an input layer is built for; KerasTuner's
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tuning.programs.continuation import link_or_copy
from tuning.programs.variables_file import load_variables, save_variables

STATE = "epochs.json"
BEST = "best.safetensors"
CHECKPOINT = "checkpoint.weights.h5"
BUILD_CONFIG = "build_config.json"


@dataclass(frozen=True)
class SavedEpochs:
    """What an execution's folder holds.

    Attributes:
        weights: Name of the file with parameters and optimizer after the last epoch.
        rows: The measures of each epoch.
    """

    weights: str
    rows: tuple[Mapping[str, float], ...]


@dataclass(frozen=True)
class ExecutionFiles:
    """The files of one execution.

    Args:
        folder: Its folder; the trial's is above it.
    """

    folder: Path

    def read(self) -> SavedEpochs | None:
        """Returns the saved epochs, or None where nothing whole is saved."""
        try:
            state = json.loads((self.folder / STATE).read_text())
            saved = SavedEpochs(str(state["weights"]), tuple(dict(row) for row in state["rows"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return saved if saved.rows and (self.folder / saved.weights).is_file() else None

    def write(self, model: keras.Model, rows: Sequence[Mapping[str, float]], *, best: bool) -> None:
        """Saves an epoch; a kill at any moment leaves the one before or this one.

        Args:
            model: The built model after the epoch.
            rows: The measures of all epochs.
            best: Whether this one is the best.

        Raises:
            OSError: There is no room.
        """
        weights = f"epoch-{len(rows):05d}.safetensors"
        self.folder.mkdir(parents=True, exist_ok=True)
        save_variables(model, self.folder / weights)
        if best:
            second = self.folder / f".{BEST}.partial"
            second.unlink(missing_ok=True)
            link_or_copy(self.folder / weights, second)
            second.replace(self.folder / BEST)
        if not (self.folder.parent / BUILD_CONFIG).exists():
            _write_json(self.folder.parent / BUILD_CONFIG, model.get_build_config())
        _write_json(self.folder / STATE, {"weights": weights, "rows": list(rows)})
        for path in self.folder.glob("epoch-*.safetensors"):
            if path.name != weights:
                path.unlink(missing_ok=True)

    def restore(self, model: keras.Model, name: str) -> None:
        """Gives a model, built or not, the parameters and the optimizer's state in one of the files.

        Raises:
            StoreError: The file is damaged.
        """
        if not model.built:
            model.build_from_config(json.loads((self.folder.parent / BUILD_CONFIG).read_text()))
        load_variables(model, self.folder / name)

    def write_checkpoint(self, model: keras.Model) -> None:
        """Writes a model's parameters and optimizer to where KerasTuner looks for the trial's best."""
        target = self.folder.parent / CHECKPOINT
        partial = target.with_name(f"partial-{CHECKPOINT}")  # Keras wants the name's end
        model.save_weights(partial, overwrite=True)
        partial.replace(target)

    def take_up(self, parent: ExecutionFiles) -> int:
        """Takes over the parent's epochs, unless there are own ones; returns how many the parent has.

        Args:
            parent: The files of the parent's execution; they stay as they are.
        """
        state = parent.read()
        if state is None:
            return 0
        if not (self.folder / STATE).exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            _take(parent.folder.parent / BUILD_CONFIG, self.folder.parent / BUILD_CONFIG)
            for name in (BEST, state.weights, STATE):  # the state last: from there on it counts
                _take(parent.folder / name, self.folder / name)
        return len(state.rows)


def _take(source: Path, target: Path) -> None:
    if source.is_file() and not target.exists():
        link_or_copy(source, target)


def _write_json(path: Path, data: Any) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(data) + "\n")
    temporary.replace(path)
