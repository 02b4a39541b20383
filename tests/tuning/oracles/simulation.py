"""A search without trainings: several workers at once, with losses that are a function of the values."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tuning.config import SearchConfig
from tuning.folder import SearchFolder
from tuning.objectives import Objective
from tuning.oracles.driver import OracleDriver, make_driver
from tuning.oracles.protocol import Exhausted, Proposal, Waiting
from tuning.trial import Trial

Measure = Callable[[Mapping[str, Any]], Mapping[str, float] | None]


def declare(hp: Any) -> None:
    """A space with a condition."""
    hp.Float("rate", 1e-4, 1e-1, sampling="log")
    hp.Int("units", 8, 64, step=8)
    hp.Fixed("bias", True)
    kind = hp.Choice("kind", ["plain", "deep"])
    with hp.conditional_scope("kind", ["deep"]):
        if kind == "deep":
            hp.Int("layers", 2, 5)


def declare_small(hp: Any) -> None:
    """A space of twelve points: two times three, and two more below one of the two."""
    hp.Choice("size", [1, 2, 3])
    hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", ["b"]):
        hp.Choice("depth", [1, 2, 3])


def measure(values: Mapping[str, Any]) -> dict[str, float]:
    """Smooth in rate and units, and with a best place."""
    return {"val_loss": abs(values["rate"] - 0.01) * 20 + abs(values["units"] - 40) / 40 + (values["kind"] == "plain"),
            "latency_ms": values["units"] / 8 + values.get("layers", 1)}


def config_of(oracle: str, *objectives: str, **changes: Any) -> SearchConfig:
    """Returns a search of a user's hypermodel; nothing of it is ever loaded here."""
    named = tuple(Objective.parse(text) for text in objectives or ("val_loss",))
    return SearchConfig(**{"hypermodel": "model.py:build", "oracle": oracle, "objectives": named, "epochs": 9,
                           "seed": 7, "trials": None, "total_epochs": 10 ** 6, **changes})


class Simulation:
    """A search with a number of workers, which end in an order of their own.

    Args:
        config: The search.
        path: Its folder.
        space: Declares the space.
        measure: From values to measures; None for a trial that fails.
        workers: How many trials run at once.
    """

    def __init__(self, config: SearchConfig, path: Path, space: Callable[[Any], None] = declare,
                 measure: Measure = measure, workers: int = 3) -> None:
        self.config, self.path, self.space, self.measure, self.workers = config, path, space, measure, workers
        self.trials: dict[str, Trial] = {}
        self.clock = 0.0
        self.over = False
        self._order = random.Random(config.seed)
        self.driver = self.new_driver(path)

    def new_driver(self, path: Path) -> OracleDriver:
        """Returns a driver that has seen nothing."""
        return make_driver(self.config, SearchFolder.at(path), self.space)

    def restored(self, path: Path) -> OracleDriver:
        """Returns another driver, restored from the trials."""
        driver = self.new_driver(path)
        driver.restore(tuple(self.trials.values()))
        return driver

    @property
    def running(self) -> list[str]:
        return [trial.id for trial in self.trials.values() if not trial.has_ended]

    def step(self) -> Proposal | Waiting | Exhausted | None:
        """Begins a trial if a worker is free, and ends one otherwise or where the oracle waits."""
        self.clock += 1
        found = None
        if len(self.running) < self.workers:
            found = self.driver.next()
            if isinstance(found, Proposal):
                self.trials[found.trial] = Trial(id=found.trial, values=found.values, parent=found.parent,
                                                 started=self.clock, attempts=1)
                self.driver.save()
                return found
            if isinstance(found, Exhausted):
                self.over = True
                return found
        self.end(self._order.choice(self.running))
        return found

    def end(self, name: str) -> Trial:
        """Ends a running trial."""
        measures = self.measure(self.trials[name].values)
        status = "failed" if measures is None else "completed"
        self.trials[name] = self.trials[name].replace(
            status=status, measures=measures or {}, executions=(measures,) if measures else (), ended=self.clock,
            error="It broke." if measures is None else "", kind="error" if measures is None else "")
        self.driver.ended(self.trials[name], self.trials)
        self.driver.save()
        return self.trials[name]

    def run(self, trials: int) -> None:
        """Goes on until so many trials have ended, or nothing is left."""
        while not self.over and sum(trial.has_ended for trial in self.trials.values()) < trials:
            self.step()
