"""A trial without an engine: a context that keeps what it is told, and small data that a trial learns from."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tuning.config import SearchConfig
from tuning.folder import SearchFolder
from tuning.objectives import Constraint, Objective
from tuning.trial import EpochReport, TrialTask
from zoo.data_source import DataSource


class MemoryContext:
    """A `TrialContext` that answers by itself.

    Args:
        folder: The search's folder.
        task: What is to be run.
        stop_after: The epoch whose report is answered with False, or None.
    """

    def __init__(self, folder: Path, task: TrialTask, stop_after: int | None = None) -> None:
        self.folder = SearchFolder.at(folder)
        self.task = task
        self.reports: list[EpochReport] = []
        self.quiet_times = 0
        self._stop_after = stop_after

    @property
    def epochs(self) -> list[tuple[int, int]]:
        """(execution, epoch) of each report."""
        return [(report.execution, report.epoch) for report in self.reports]

    def report(self, report: EpochReport) -> bool:
        self.reports.append(report)
        return self._stop_after is None or report.epoch < self._stop_after

    @contextmanager
    def quiet(self) -> Iterator[None]:
        self.quiet_times += 1
        yield


def task(trial: str = "0000", **changes: Any) -> TrialTask:
    return TrialTask(**{"trial": trial, "values": {}, "epochs": 4, "until_epoch": changes.get("epochs", 4), **changes})


def points(folder: Path, rows: int = 120) -> DataSource:
    """Two groups of points in a table."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with (folder / "points.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "side"])
        for a, b in rng.normal(size=(rows, 2)):
            writer.writerow([f"{a:.6f}", f"{b:.6f}", "above" if a + b > 0 else "below"])
    return DataSource(path=str(folder / "points.csv"), target=("side",))


RATE = {"dimensions": [{"name": "learning_rate", "kind": "float", "low": 1e-3, "high": 0.5, "log": True,
                        "target": "training"}]}


def search(data: DataSource, *, objectives: tuple[str, ...] = ("val_loss",), constraints: tuple[str, ...] = (),
           **changes: Any) -> SearchConfig:
    """A search for a small network on points."""
    return SearchConfig(**{
        "model": "mlp_binary", "data": data, "space": RATE, "epochs": 4,
        "objectives": tuple(map(Objective.parse, objectives)),
        "constraints": tuple(map(Constraint.parse, constraints)), **changes})
