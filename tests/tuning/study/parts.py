"""Small real parts for tests of the study: a configuration, a driver that goes through the numbers, a whole search."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuning.config import SearchConfig
from tuning.folder import SearchFolder
from tuning.oracles.protocol import Exhausted, Proposal, Waiting
from tuning.spaces.dimension import Dimension
from tuning.spaces.space import SearchSpace
from tuning.study.study import Study
from tuning.trial import EpochReport, Trial, TrialOutcome, TrialTask

SPACE = SearchSpace((Dimension(name="dropout", kind="float", low=0.0, high=0.9, target="build"),
                     Dimension(name="learning_rate", kind="float", low=1e-4, high=1e-1, log=True, target="training")),
                    "mlp_binary")


class Counting:
    """Proposes dropout 0, 0.01, 0.02, ... without end, or up to `last` of them; remembers what it was told."""

    last = 10_000

    def __init__(self, config: SearchConfig, folder: SearchFolder, declared: Any = None) -> None:
        self.config = config
        self.told: list[Trial] = []
        self.begun = 0
        self.declared = declared

    def next(self) -> Proposal | Waiting | Exhausted:
        if self.begun >= self.last:
            return Exhausted()
        self.begun += 1
        return Proposal(trial=f"{self.begun - 1:04d}", until_epoch=self.config.epochs,
                        values={"dropout": (self.begun - 1) / 100 % 0.9, "learning_rate": 0.01})

    def ended(self, trial: Trial, trials: Mapping[str, Trial]) -> None:
        assert trials[trial.id] == trial
        self.told.append(trial)

    def restore(self, trials: Sequence[Trial]) -> None:
        self.begun = len(trials)

    def save(self, *, force: bool = False) -> None:
        del force


def configuration(**changes: Any) -> SearchConfig:
    return SearchConfig(**{"model": "mlp_binary", "space": SPACE.to_dict(), "trials": 4, "epochs": 3, **changes})


def loss_at(values: Mapping[str, Any], epoch: int) -> float:
    """A training that gets better with each epoch, best at dropout 0.05 and a learning rate of 0.02."""
    return float((values["dropout"] - 0.05) ** 2 + abs(values["learning_rate"] - 0.02) + 1.0 / epoch)


def run_trial(study: Study, task: TrialTask, measures: Mapping[str, float] | None = None,
              after_epoch: Callable[[], None] = lambda: None) -> None:
    """Trains a trial in no time, with every epoch reported as a program does."""
    status = "completed"
    for epoch in range(1, task.until_epoch + 1):
        value = loss_at(task.values, epoch)
        goes_on = study.report(task.trial, EpochReport(epoch=epoch, values={"val_loss": value}))
        after_epoch()
        if not goes_on:
            status = "stopped"
            break
    study.tell(task.trial, TrialOutcome(status=status, executions=[{"val_loss": value, **(measures or {})}]))


def run_all(study: Study, after_epoch: Callable[[], None] = lambda: None) -> None:
    while not study.done:
        task = study.ask()
        if task is not None:
            run_trial(study, task, after_epoch=after_epoch)


def as_a_crash_leaves_it(folder: SearchFolder, place: Path) -> SearchFolder:
    """A copy of a folder while a study holds it: what is on the disk when its process is killed."""
    return SearchFolder.at(shutil.copytree(folder.path, place))


def outcomes(study_or_trials: Mapping[str, Trial]) -> list[tuple[Any, ...]]:
    """What two equal searches have in common: no times, no count of attempts."""
    return [(t.id, dict(t.values), t.status, dict(t.measures), t.parent,
             [(r.execution, r.epoch, dict(r.values)) for r in t.history]) for t in study_or_trials.values()]
