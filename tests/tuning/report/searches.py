"""Searches to report on: a real study, whose trials are computed instead of trained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuning.config import SearchConfig
from tuning.folder import SearchFolder
from tuning.oracles.protocol import Exhausted, Proposal, Waiting
from tuning.study.study import Study
from tuning.trial import EpochReport, Trial, TrialOutcome

CONFIG = SearchConfig.from_dict({
    "model": "mlp", "objectives": ["val_accuracy", "min:latency_ms"], "constraints": ["latency_ms<=5"], "trials": 24,
    "epochs": 3, "space": {"dimensions": [
        {"name": "learning_rate", "kind": "float", "target": "training", "low": 1e-4, "high": 1e-1, "log": True},
        {"name": "width", "kind": "choice", "target": "build", "choices": [16, 64, 256]}]}})


class Grid:
    """Chooses trials on a grid, in the same order each time."""

    def __init__(self) -> None:
        self._next = 0

    def next(self) -> Proposal | Waiting | Exhausted:
        place, self._next = self._next, self._next + 1
        return Proposal(trial=f"{place:04}", until_epoch=CONFIG.epochs, values={
            "learning_rate": 10 ** (-4 + 3 * (place // 3) / 7), "width": (16, 64, 256)[place % 3]})

    def ended(self, trial: Trial, trials: Mapping[str, Trial]) -> None:
        pass

    def restore(self, trials: Iterable[Trial]) -> None:
        self._next = len(list(trials))

    def save(self, *, force: bool = False) -> None:
        pass


@contextmanager
def open_search(folder: Path, config: SearchConfig = CONFIG, *, ended: int = 24) -> Iterator[Study]:
    """Opens a search in which so many trials have ended; the clock gives each call a second."""
    clock = iter(range(1_000_000, 10_000_000))
    with Study.open(SearchFolder.at(folder), config, clock=lambda: float(next(clock)),
                    driver=lambda *_: Grid()) as study:
        for _ in range(ended):
            task = study.ask()
            assert task is not None
            study.tell(task.trial, attempt(study, task.trial, task.values))
        yield study


def attempt(study: Study, trial: str, values: Mapping[str, Any]) -> TrialOutcome:
    """Runs a trial: the accuracy depends on the learning rate, the latency on the width."""
    if trial == "0007":
        study.report(trial, EpochReport(epoch=1, seconds=0.5, values={"val_accuracy": math.nan}))
        return TrialOutcome(status="failed", kind="error", error="The loss is no number | from epoch 1 on.")
    latency = values["width"] / 50
    if latency > 5:
        return TrialOutcome(status="infeasible", executions=[{"latency_ms": latency}], error="latency_ms<=5")
    accuracy = 0.9 - 0.1 * abs(math.log10(values["learning_rate"]) + 2) + values["width"] / 1e4
    for epoch in (1, 2, 3):
        study.report(trial, EpochReport(epoch=epoch, seconds=0.5, values={"val_accuracy": accuracy * epoch / 3}))
    return TrialOutcome(status="completed", executions=[{"val_accuracy": accuracy, "latency_ms": latency}], seconds=2.0)
