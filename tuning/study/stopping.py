"""Early stopping of bad trials: asynchronous successive halving (ASHA) and the median rule.

A rule sees the reports in the order in which they come, and decides on each of them once. What it decided stands in
the journal; after a restart it takes up what the trials have reported so far.
"""

from __future__ import annotations

import abc
import bisect
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tuning.config import SearchConfig
from tuning.objectives import Objective
from tuning.trial import EpochReport, Trial
from zoo.errors import ArgumentError, UnknownNameError


class Stopper(Protocol):
    """A rule that stops trials early. Only the first execution of a trial is judged, by the first objective."""

    def decide(self, trial: Trial, report: EpochReport, trials: Mapping[str, Trial]) -> bool:
        """Tells whether a trial stops after an epoch. Called once for each report, in the order in which they come.

        Args:
            trial: The trial; whether its history holds the report already makes no difference.
            report: The measures after the epoch.
            trials: All trials by id.

        Returns:
            True to stop the trial.
        """


@dataclass(frozen=True, kw_only=True)
class AshaSettings:
    """Settings of asynchronous successive halving, as Ray Tune names them.

    Attributes:
        grace_period: Epoch of the first rung: no trial is stopped before it.
        reduction_factor: Of the trials at a rung one in so many goes on; the next rung lies so many times as far.
        max_t: Epochs of a whole training, where no trial is stopped any more.
    """

    grace_period: int = 1
    reduction_factor: float = 3.0
    max_t: int = 1

    @classmethod
    def of(cls, config: SearchConfig) -> AshaSettings:
        """Reads a search's `stopper_options`.

        Args:
            config: The search.

        Raises:
            ArgumentError: An option is unknown or out of its range.
        """
        options = _options(config, ("grace_period", "reduction_factor"))
        return cls(grace_period=_grace_period(config, options),
                   reduction_factor=_number(options, "reduction_factor", 3.0, above=1.0), max_t=config.epochs)

    @property
    def rungs(self) -> tuple[float, ...]:
        """The epochs at which trials are compared, the first one first."""
        count = int(np.log(self.max_t / self.grace_period) / np.log(self.reduction_factor) + 1)
        return tuple(self.grace_period * self.reduction_factor ** rung for rung in range(count))


@dataclass(frozen=True, kw_only=True)
class MedianSettings:
    """Settings of the median rule, as Ray Tune names them.

    Attributes:
        grace_period: Epoch from which on averages are taken and trials may be stopped.
        min_samples_required: How many other trials must have come as far.
    """

    grace_period: int = 1
    min_samples_required: int = 3

    @classmethod
    def of(cls, config: SearchConfig) -> MedianSettings:
        """Reads a search's `stopper_options`.

        Args:
            config: The search.

        Raises:
            ArgumentError: An option is unknown or out of its range.
        """
        options = _options(config, ("grace_period", "min_samples_required"))
        return cls(grace_period=_grace_period(config, options),
                   min_samples_required=_whole(options, "min_samples_required", 3))


class NeverStop:
    """The rule that stops nothing."""

    def decide(self, trial: Trial, report: EpochReport, trials: Mapping[str, Trial]) -> bool:
        """Returns False."""
        del trial, report, trials
        return False


class _Rule(abc.ABC):
    """What the rules share: which reports count, and what was reported before the first decision of a fresh rule."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._is_fresh = True

    def decide(self, trial: Trial, report: EpochReport, trials: Mapping[str, Trial]) -> bool:
        """Tells whether a trial stops after an epoch, and takes note of it.

        Args:
            trial: The trial.
            report: The measures after the epoch; without the objective it decides nothing.
            trials: All trials by id.
        """
        if self._is_fresh:
            self._is_fresh = False
            for other in {**trials, trial.id: trial}.values():
                for earlier in other.history:
                    if other.id != trial.id or (earlier.execution, earlier.epoch) < (report.execution, report.epoch):
                        self._counted(other.id, earlier)
        return self._counted(trial.id, report)

    def _counted(self, trial: str, report: EpochReport) -> bool:
        if report.execution or self._objective.name not in report.values:
            return False
        return self._take(trial, report)

    @abc.abstractmethod
    def _take(self, trial: str, report: EpochReport) -> bool:
        """Takes note of a report that counts, and decides."""


class AshaStopper(_Rule):
    """Asynchronous successive halving (Li et al. 2018, arXiv 1810.05934), stopping variant as in Ray Tune.

    A trial that reaches a rung is compared with all that reached it before: it stops if it is not among the best
    1/reduction_factor of them. Nothing waits, so the first at a rung always goes on.

    Args:
        objective: What trials are compared by.
        settings: The rule's settings.
    """

    def __init__(self, objective: Objective, settings: AshaSettings) -> None:
        super().__init__(objective)
        self._settings = settings
        # From the last rung to the first, each with the rewards (more is better) of the trials that reached it.
        self._rungs: list[tuple[float, dict[str, float]]] = [(epoch, {}) for epoch in reversed(settings.rungs)]

    def _take(self, trial: str, report: EpochReport) -> bool:
        if report.epoch >= self._settings.max_t:
            return False
        reward = -self._objective.loss(float(report.values[self._objective.name]))
        for epoch, recorded in self._rungs:
            if report.epoch < epoch or trial in recorded:
                continue
            share = 1.0 - 1.0 / self._settings.reduction_factor
            # A training that diverged has no number; it is worse than every other and no measure for them.
            others = [other for other in recorded.values() if math.isfinite(other)]
            recorded[trial] = reward
            return bool(others) and reward < float(np.percentile(others, share * 100.0))
        return False


class MedianStopper(_Rule):
    """The median rule (Golovin et al. 2017, Vizier), as in Ray Tune with `hard_stop`.

    A trial stops if the best that it has reached is worse than the median of what the other trials that came as far
    had reached on average up to this epoch. Vizier compares with completed trials alone; here, as in Ray Tune, every
    trial that came as far counts, so that the rule can act before the first trial has ended.

    Args:
        objective: What trials are compared by.
        settings: The rule's settings.
    """

    def __init__(self, objective: Objective, settings: MedianSettings) -> None:
        super().__init__(objective)
        self._settings = settings
        self._best: dict[str, float] = {}
        self._sums: dict[str, tuple[float, int]] = {}
        self._means: dict[int, list[float]] = {}

    def _take(self, trial: str, report: EpochReport) -> bool:
        loss = self._objective.loss(float(report.values[self._objective.name]))
        best = self._best[trial] = min(self._best.get(trial, math.inf), loss)
        if report.epoch < self._settings.grace_period:
            return False
        total, count = self._sums.get(trial, (0.0, 0))
        self._sums[trial] = total + loss, count + 1
        # The mean of a trial up to an epoch is settled once it has reported it, so each epoch keeps its means in order.
        others = self._means.setdefault(report.epoch, [])
        worse = len(others) >= self._settings.min_samples_required and best > statistics.median(others)
        mean = (total + loss) / (count + 1)
        if math.isfinite(mean):
            bisect.insort(others, mean)
        return worse


def stopper_for(config: SearchConfig) -> Stopper:
    """Returns the rule that a search stops trials by.

    Args:
        config: The search.

    Raises:
        ArgumentError: `stopper_options` has an unknown name or a value out of its range.
    """
    if config.stopper == "asha":
        return AshaStopper(config.objectives[0], AshaSettings.of(config))
    if config.stopper == "median":
        return MedianStopper(config.objectives[0], MedianSettings.of(config))
    _options(config, ())
    return NeverStop()


def _options(config: SearchConfig, known: tuple[str, ...]) -> Mapping[str, Any]:
    for name in config.stopper_options:
        if name not in known:
            hint = f"It takes: {', '.join(known)}." if known else "It takes none."
            raise ArgumentError(UnknownNameError(f"option of the stopper {config.stopper}", str(name), known,
                                                 hint).message)
    return config.stopper_options


def _grace_period(config: SearchConfig, options: Mapping[str, Any]) -> int:
    value = _whole(options, "grace_period", 1)
    if value > config.epochs:
        raise ArgumentError(f"The stopper's grace_period must not exceed the {config.epochs} epochs of a training. "
                            f"Received: {value}")
    return value


def _whole(options: Mapping[str, Any], name: str, default: int) -> int:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"The stopper's {name} must be a whole number of at least 1. Received: {value!r}")
    return value


def _number(options: Mapping[str, Any], name: str, default: float, *, above: float) -> float:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not above < value < math.inf:
        raise ArgumentError(f"The stopper's {name} must be a number above {above:g}. Received: {value!r}")
    return float(value)
