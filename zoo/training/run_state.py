"""How far a run is, as pure data: what the next epoch needs to know, and nothing of the parameters."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.training.config import TrainingConfig
from zoo.training.objective import higher_is_better
from zoo.training.schedules import plateau_factor, schedule_epochs


@dataclass(frozen=True, kw_only=True)
class RunState:
    """The state after a whole number of epochs.

    Attributes:
        monitor: The measure that decides which epoch is best.
        history: The measures of each epoch that is done.
        seconds: Wall-clock seconds of each.
        train_seconds: The same without validation.
        best_epoch: The best epoch, from 1; 0 before the first.
        best_value: The monitored measure in it.
        waited: Epochs of this phase since the best one, for early stopping.
        plateau: Epochs of this phase since the best one or the last drop of the learning rate.
        learning_rate_scale: What "reduce_on_plateau" has multiplied the learning rate by in this phase.
        stopped: Why the run has ended; empty while it goes on.
    """

    monitor: str
    history: tuple[Mapping[str, float], ...] = ()
    seconds: tuple[float, ...] = ()
    train_seconds: tuple[float, ...] = ()
    best_epoch: int = 0
    best_value: float = math.nan
    waited: int = 0
    plateau: int = 0
    learning_rate_scale: float = 1.0
    stopped: str = ""

    @property
    def epoch(self) -> int:
        """Number of epochs that are done."""
        return len(self.history)

    @property
    def is_best(self) -> bool:
        """Whether the last epoch is the best."""
        return 0 < self.best_epoch == self.epoch

    def phase_begun(self) -> RunState:
        """Returns the state at the begin of a phase: patience starts anew, the best epoch stays."""
        return dataclasses.replace(self, waited=0, plateau=0, learning_rate_scale=1.0)

    def unfrozen_further(self) -> RunState:
        """Returns the state where more begins to learn: patience starts anew, the learning rate goes on."""
        return dataclasses.replace(self, waited=0, plateau=0)

    def after_epoch(self, measures: Mapping[str, float], config: TrainingConfig, *, seconds: float,
                    train_seconds: float, asked_to_stop: bool = False, complete: bool = True,
                    settled: bool = True) -> RunState:
        """Returns the state after one more epoch.

        Args:
            measures: What `TrainingReport.history` holds of an epoch.
            config: Decides patience, plateau and the number of epochs.
            seconds: Wall-clock seconds of the epoch.
            train_seconds: The same without validation.
            asked_to_stop: Whether a callback set `model.stop_training`.
            complete: Whether all learns that ever will; before that the run does not stop early.
            settled: Whether the model is what it shall become, so that the epoch may be the best; before that the run
                does not stop early either.

        Returns:
            A new state; its `stopped` is set if the run has ended.
        """
        better = settled and self._better(measures[self.monitor])
        state = dataclasses.replace(
            self, history=(*self.history, dict(measures)), seconds=(*self.seconds, seconds),
            train_seconds=(*self.train_seconds, train_seconds),
            best_epoch=self.epoch + 1 if better else self.best_epoch,
            best_value=measures[self.monitor] if better else self.best_value,
            waited=0 if better or not settled else self.waited + 1,
            plateau=0 if better or not settled else self.plateau + 1)
        reason = state._reason(config, asked_to_stop, complete)
        return dataclasses.replace(state._plateau_reached(config), stopped=reason)

    def _better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.best_epoch == 0:
            return True
        return value > self.best_value if higher_is_better(self.monitor) else value < self.best_value

    def _plateau_reached(self, config: TrainingConfig) -> RunState:
        if config.schedule != "reduce_on_plateau" or self.plateau < schedule_epochs(config):
            return self
        return dataclasses.replace(self, plateau=0,
                                   learning_rate_scale=self.learning_rate_scale * plateau_factor(config))

    def _reason(self, config: TrainingConfig, asked_to_stop: bool, complete: bool) -> str:
        if self.epoch >= config.epochs:
            return "completed"
        if asked_to_stop:
            return "callback"
        patience = config.early_stopping_patience
        # Frozen epochs are an explicit number: they are not cut short.
        frozen = self.epoch <= config.frozen_epochs or not complete
        return "early_stopping" if patience is not None and not frozen and self.waited >= patience else ""

    def to_dict(self) -> dict[str, Any]:
        """Returns the state as JSON-ready data."""
        return dataclasses.asdict(self) | {"best_value": None if math.isnan(self.best_value) else self.best_value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunState:
        """Reads what `to_dict` wrote."""
        lists = {name: tuple(values[name]) for name in ("history", "seconds", "train_seconds")}
        best = math.nan if values["best_value"] is None else values["best_value"]
        return cls(**{**values, **lists, "best_value": best})
