"""Saves every epoch of a hypermodel's training, tells the study, and goes on after a crash where it was.

    <execution>/epochs.json                the measures of each epoch, and which file holds the parameters
    <execution>/epoch-00003.weights.h5     parameters and optimizer after the last finished epoch
    <trial>/checkpoint.weights.h5          the best parameters of all executions, where KerasTuner looks for them
    <trial>/build_config.json              the shapes that a model without an input layer is built for; KerasTuner's
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tuning.objectives import Objective
from tuning.programs.continuation import link_or_copy

STATE = "epochs.json"
BEST = "checkpoint.weights.h5"
BUILD_CONFIG = "build_config.json"

Tell = Callable[[int, Mapping[str, float], float], bool]


class EpochKeeper(keras.callbacks.Callback):  # type: ignore[misc]
    """The callback that a trial of a hypermodel is trained with.

    Args:
        folder: The execution's folder; the trial's is above it.
        objective: Decides which epoch is best.
        best: The best value of earlier executions, or None.
        until_epoch: Epoch after which the trial rests, or None.
        tell: Told (epoch from 1, measures, seconds) of each saved epoch; False ends the training.
    """

    def __init__(self, folder: Path, objective: Objective, *, best: float | None, until_epoch: int | None,
                 tell: Tell) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []
        self.stopped = False
        self.best = best
        self._folder = folder
        self._objective = objective
        self._until_epoch = until_epoch
        self._tell = tell
        self._weights = ""
        self._trainings = 0
        self._offset = 0
        self._begun = time.monotonic()
        self._read()

    # === What Keras calls ===

    def on_train_begin(self, logs: Any = None) -> None:
        """Takes up the saved epochs at the first training of this process; a second one counts on."""
        self._trainings += 1
        if self._trainings > 1:
            self._offset = len(self.rows)
        elif self.rows:
            self._restore()
            rests = self._until_epoch is not None and len(self.rows) >= self._until_epoch
            # As keras.callbacks.BackupAndRestore does it; a number behind the last epoch trains none.
            self.model._initial_epoch = self.params.get("epochs", len(self.rows)) if rests else len(self.rows)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock."""
        self._begun = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Saves the epoch, then tells of it."""
        row = {name: float(value) for name, value in (logs or {}).items() if _is_number(value)}
        number = self._offset + epoch + 1
        del self.rows[number - 1:]
        self.rows.append(row)
        self._save(best=self._is_best(row))
        go_on = self._tell(len(self.rows), row, time.monotonic() - self._begun)
        rests = self._until_epoch is not None and len(self.rows) >= self._until_epoch
        self.stopped = self.stopped or (not go_on and not rests)
        if (rests or not go_on) and self.model is not None:
            self.model.stop_training = True

    # === Files ===

    def best_row(self) -> dict[str, float]:
        """Returns the measures of the best epoch: of the last one where the objective is not among them."""
        name = self._objective.name
        known = [row for row in self.rows if name in row]
        if not known:
            return self.rows[-1] if self.rows else {}
        return min(known, key=lambda row: self._objective.loss(row[name]))

    def _read(self) -> None:
        state = saved_epochs(self._folder)
        if state is not None:
            self._weights, self.rows = state.weights, [dict(row) for row in state.rows]
            for row in self.rows:
                self._is_best(row)

    def _restore(self) -> None:
        if not self.model.built:
            self.model.build_from_config(json.loads((self._folder.parent / BUILD_CONFIG).read_text()))
        load_trained(self.model, self._folder / self._weights)

    def _save(self, *, best: bool) -> None:
        if self.model is None or not self.model.built:
            return
        old, self._weights = self._weights, f"epoch-{len(self.rows):05d}.weights.h5"
        self._folder.mkdir(parents=True, exist_ok=True)
        path, trial = self._folder / self._weights, self._folder.parent
        partial = path.with_name(f"partial-{path.name}")  # Keras wants the name's end
        self.model.save_weights(partial, overwrite=True)
        partial.replace(path)
        if best:
            second = trial / f"partial-{BEST}"
            second.unlink(missing_ok=True)
            link_or_copy(path, second)
            second.replace(trial / BEST)
            write_json(trial / BUILD_CONFIG, self.model.get_build_config())
        write_json(self._folder / STATE, {"weights": self._weights, "rows": self.rows})
        if old and old != self._weights:
            (self._folder / old).unlink(missing_ok=True)

    def _is_best(self, row: Mapping[str, float]) -> bool:
        value = row.get(self._objective.name)
        if value is None:
            return True  # as in KerasTuner: an objective that is only known after the training picks no epoch
        if math.isnan(value) or (self.best is not None and not self._objective.better(value, self.best)):
            return False
        self.best = value
        return True


@dataclass(frozen=True)
class SavedEpochs:
    """What an execution's folder holds.

    Attributes:
        weights: Name of the file with parameters and optimizer after the last epoch.
        rows: The measures of each epoch.
    """

    weights: str
    rows: tuple[Mapping[str, float], ...]


def saved_epochs(folder: Path) -> SavedEpochs | None:
    """Returns what an execution's folder holds, or None if that is nothing whole.

    Args:
        folder: The execution's folder.
    """
    try:
        state = json.loads((folder / STATE).read_text())
        saved = SavedEpochs(str(state["weights"]), tuple(dict(row) for row in state["rows"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return saved if saved.rows and (folder / saved.weights).is_file() else None


def load_trained(model: keras.Model, path: Path) -> None:
    """Gives a built model the parameters in a file, and its optimizer the state in it.

    Args:
        model: The model.
        path: What `model.save_weights` wrote.
    """
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    model.load_weights(path)


def write_json(path: Path, data: Any) -> None:
    """Writes a file so that it is at every moment the old or the new one.

    Args:
        path: The file.
        data: What goes into it.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(data) + "\n")
    temporary.replace(path)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
