"""What a training run did, as pure data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from zoo.errors import ArgumentError

StopReason = Literal["completed", "early_stopping", "callback", "paused"]


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """What `zoo.training.fit` did.

    Attributes:
        history: One mapping per epoch: "epoch" (from 1), "learning_rate" at its first step, "loss" and the other
            measures on the training examples, the same with "val_" on the validation examples.
        monitor: The measure that decided which epoch is best.
        best_epoch: The best epoch, from 1.
        best_value: The monitored measure in it.
        stopped: Why the run ended: all epochs "completed", "early_stopping", or a "callback" asked for it; "paused"
            where it has not ended and the same call goes on.
        restored_best: Whether the model has the weights of the best epoch, rather than the last.
        seconds: Wall-clock seconds of each epoch, validation included.
        examples_per_second: Training examples per second, validation left out: the median over the epochs.
        resumed_from: Epochs that an earlier process had finished when this one went on, or None.
        already_finished: Whether nothing was trained because the run was finished before.
        directory: Where the checkpoints are.
    """

    history: tuple[Mapping[str, float], ...]
    monitor: str
    best_epoch: int
    best_value: float
    stopped: StopReason
    restored_best: bool
    seconds: tuple[float, ...]
    examples_per_second: float
    directory: str
    resumed_from: int | None = None
    already_finished: bool = False

    @property
    def epochs(self) -> int:
        """Number of epochs that were trained, earlier processes included."""
        return len(self.history)

    @property
    def final(self) -> Mapping[str, float]:
        """The measures of the epoch whose weights the model has."""
        return self.history[self.best_epoch - 1 if self.restored_best else -1]

    def summary(self) -> str:
        """Returns one line for people."""
        done = f"{self.epochs} epochs were trained already" if self.already_finished else f"{self.epochs} epochs"
        why = {"completed": "", "early_stopping": ", stopped early", "callback": ", stopped by a callback",
               "paused": ", paused"}
        return f"{done}{why[self.stopped]}; best {self.monitor} {self.best_value:.4g} in epoch {self.best_epoch}"

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as JSON-ready data."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return values | {"history": [dict(epoch) for epoch in self.history], "seconds": list(self.seconds)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingReport:
        """Reads what `to_dict` wrote.

        Raises:
            ArgumentError: A field is unknown or missing.
        """
        try:
            return cls(**{**values, "history": tuple(values["history"]), "seconds": tuple(values["seconds"])})
        except (KeyError, TypeError) as error:
            raise ArgumentError(f"This is no training report: {error}") from None
