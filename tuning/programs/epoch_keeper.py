"""Saves every epoch of a hypermodel's training, tells the study, and goes on after a crash where it was."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras

from tuning.errors import StoreError
from tuning.objectives import Objective
from tuning.programs.execution_files import BEST, ExecutionFiles

Tell = Callable[[int, Mapping[str, float], float], bool]


class EpochKeeper(keras.callbacks.Callback):  # type: ignore[misc]
    """The callback that a trial of a hypermodel is trained with.

    Args:
        files: The execution's files.
        objective: Decides which epoch is best.
        best: The best value of earlier executions, or None.
        until_epoch: Epoch after which the trial rests, or None.
        tell: Told (epoch from 1, measures, seconds) of each saved epoch; False ends the training.
    """

    def __init__(self, files: ExecutionFiles, objective: Objective, *, best: float | None, until_epoch: int | None,
                 tell: Tell) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []
        self.stopped = False
        self.best = best
        self._files = files
        self._best_before = best
        self._improved = False
        self._objective = objective
        self._until_epoch = until_epoch
        self._tell = tell
        self._trainings = 0
        self._offset = 0
        self._begun = time.monotonic()
        self._saved = files.read()
        if self._saved is not None:
            self.rows = [dict(row) for row in self._saved.rows]
            for row in self.rows:
                self._is_best(row)

    # === What Keras calls ===

    def on_train_begin(self, logs: Any = None) -> None:
        """Takes up the saved epochs at the first training of this process; a second one counts on."""
        self._trainings += 1
        if self._trainings > 1:
            self._offset = len(self.rows)
        elif self._restored():
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
        best = self._is_best(row)
        if self.model is not None and self.model.built:
            self._files.write(self.model, self.rows, best=best)
        go_on = self._tell(len(self.rows), row, time.monotonic() - self._begun)
        rests = self._until_epoch is not None and len(self.rows) >= self._until_epoch
        self.stopped = self.stopped or (not go_on and not rests)
        if (rests or not go_on) and self.model is not None:
            self.model.stop_training = True

    # === Afterwards ===

    def best_row(self) -> dict[str, float]:
        """Returns the measures of the best epoch: of the last one where the objective is not among them."""
        name = self._objective.name
        known = [row for row in self.rows if name in row]
        if not known:
            return self.rows[-1] if self.rows else {}
        return min(known, key=lambda row: self._objective.loss(row[name]))

    def finish(self, model: keras.Model) -> None:
        """Gives the model its best parameters, and KerasTuner's tuners those of the trial's best execution.

        Args:
            model: The model that was trained, or that was when another process ended.
        """
        if (self._files.folder / BEST).is_file():
            self._files.restore(model, BEST)
            if self._improved:
                self._files.write_checkpoint(model)

    def _restored(self) -> bool:
        """Takes up what is saved; a file that a failing disk damaged means beginning afresh."""
        if self._saved is None:
            return False
        try:
            self._files.restore(self.model, self._saved.weights)
        except (OSError, StoreError) as error:
            print(f"The training begins afresh: {error}")
            self.rows.clear()
            self.best, self._improved = self._best_before, False
            return False
        return True

    def _is_best(self, row: Mapping[str, float]) -> bool:
        value = row.get(self._objective.name)
        if value is None:  # as in KerasTuner: an objective that is only known after the training picks no epoch
            self._improved = True
            return True
        if math.isnan(value) or (self.best is not None and not self._objective.better(value, self.best)):
            return False
        self.best, self._improved = value, True
        return True


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
