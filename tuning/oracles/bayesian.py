"""Bayesian optimisation: KerasTuner's Gaussian process, asked in a way that is quick and that a crash does not change.

KerasTuner searches its acquisition function from 50 places one after the other, which takes seconds for each proposal.
Here the function is evaluated at many places at once, and only the best of them are followed further. Each proposal has
random numbers of its own, from the seed and its number in the search.
"""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tuning.config import SearchConfig
from tuning.oracles.records import Records
from tuning.oracles.strategies import Losses, Strategy, lent, plain
from tuning.study.pareto import scalarise, weights_of
from tuning.trial import Trial

Array = npt.NDArray[np.float64]

# A loss is taken for at most so many times as far above the median as the best one lies below it: one training that
# diverged must not be all that the Gaussian process sees.
_FURTHEST = 5.0

# The process is fitted to at most so many trials, the best and the latest, because its cost grows with their cube.
_BEST, _LATEST = 100, 200

# Further starts of the fit of the kernel's scale; KerasTuner takes 20, for which its single scale has no use. With many
# trials the scale is plain from the first start, and each costs a second.
_RESTARTS, _RESTARTED_UP_TO = 4, 100

# Places at which the acquisition function is evaluated; how many of the best are looked around at, and how far.
_PLACES, _FOLLOWED = 1500, 10
_STEPS = (0.1, 0.05, 0.02, 0.01, 0.004)


class BayesianStrategy(Strategy):
    """The Gaussian process; with several objectives it sees ParEGO's scalarisation, with fresh weights each time.

    Args:
        config: The search.
        oracle: KerasTuner's oracle.
    """

    def __init__(self, config: SearchConfig, oracle: Any) -> None:
        super().__init__(config, oracle)
        self._is_guided = False

    def propose(self, trial: str, records: Records) -> dict[str, Any] | None:
        """Returns the values of the next trial; a point that was tried already is replaced by a random new one.

        Args:
            trial: The id that it will have.
            records: The trials so far.
        """
        judged = self._judged(records.losses)
        if len(judged) < self._oracle.num_initial_points:
            return super().propose(trial, records)
        values = self._guided(judged)
        return self._new_random() if self._oracle._duplicate(values) else values

    def replay(self, trial: Trial, *, drawn: bool) -> None:
        """Draws again for the first, random trials; those of the process leave nothing behind.

        Args:
            trial: The trial.
            drawn: Whether its draws are in the random state already.
        """
        if not (drawn or self._is_guided):
            self._is_guided = not self._redraw(trial)

    def _judged(self, losses: Losses) -> dict[str, float]:
        # One loss per ended trial. What failed or broke a constraint counts as the worst: left out, its surroundings
        # would stay unknown, and an unknown place is what the process looks for.
        able = {trial: point for trial, point in losses.items() if point is not None}
        if not able:
            return {}
        if len(self._config.objectives) > 1:
            weights = weights_of(len(self._config.objectives), self._oracle.seed, len(self._oracle.trials))
            scalars = scalarise(list(able.values()), weights)
        else:
            scalars = within([point[0] for point in able.values()])
        judged = dict(zip(able, scalars, strict=True))
        worst = max(scalars)
        return {trial: judged.get(trial, worst) for trial in losses}

    def _guided(self, judged: Mapping[str, float]) -> dict[str, Any]:
        oracle = self._oracle
        sign = -1.0 if oracle.objective.direction == "max" else 1.0
        scores = {trial: sign * loss for trial, loss in judged.items()}
        oracle.gpr.n_restarts_optimizer = _RESTARTS if len(judged) <= _RESTARTED_UP_TO else 0
        # Matrices as small as these are slower on several threads, the more so beside running trials.
        with lent(oracle, scores), warnings.catch_warnings(), threadpool_limits(1):
            # A kernel's scale that ends at its bound says nothing to the user.
            warnings.simplefilter("ignore", ConvergenceWarning)
            points, losses = self._vectors(judged, with_running=False)
            oracle.gpr.fit(points, losses)
            if oracle.ongoing_trials:
                # The running trials' results are guessed by the process as fitted to all that is known now, not at the
                # last proposal, so that a search that goes on after a crash guesses the same.
                points, losses = self._vectors(judged, with_running=True)
                oracle.gpr.fit(points, losses)
            seeds = points[np.argsort(losses, kind="stable")[:_FOLLOWED]]
            random = np.random.default_rng([oracle.seed, len(oracle.trials)])
            place = _lowest(oracle.gpr, oracle.beta, seeds, random)
        return _inside(oracle.get_space(), plain(oracle._vector_to_values(place)))

    def _vectors(self, judged: Mapping[str, float], *, with_running: bool) -> tuple[Array, Array]:
        oracle = self._oracle
        trials, ongoing = oracle.trials, oracle.ongoing_trials
        chosen = _most_telling(judged, [trial for trial in trials if trial in judged])
        oracle.trials = {trial: record for trial, record in trials.items()
                         if trial in chosen or (with_running and trial in ongoing)}
        oracle.ongoing_trials = ongoing if with_running else {}
        try:
            points, losses = oracle._vectorize_trials()
        finally:
            oracle.trials, oracle.ongoing_trials = trials, ongoing
        return np.asarray(points, dtype=np.float64), np.asarray(losses, dtype=np.float64)

    def _new_random(self) -> dict[str, Any] | None:
        before = self._oracle._seed_state
        random = np.random.default_rng([self._oracle.seed, len(self._oracle.trials), 1])
        self._oracle._seed_state = int(random.integers(2 ** 31))
        values = self._oracle._random_values()
        self._oracle._seed_state = before
        return None if values is None else plain(values)


def _inside(space: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Keeps whole numbers in their ranges: KerasTuner makes 1025 of the upper end of log:8..1024."""
    highest = {hp.name: hp.max_value for hp in space.space if hasattr(hp, "max_value")}
    return {name: min(value, highest[name]) if name in highest else value for name, value in values.items()}


def within(losses: Sequence[float]) -> list[float]:
    """Returns losses without the far ends: each at most some way above the median, and finite.

    Args:
        losses: Losses, of which some may be infinite.
    """
    finite = [loss for loss in losses if math.isfinite(loss)]
    if not finite:
        return [0.0] * len(losses)
    best, middle, worst = min(finite), statistics.median(finite), max(finite)
    bound = min(worst, middle + _FURTHEST * (middle - best)) if middle > best else worst
    return [min(max(loss, best), bound) for loss in losses]


def _most_telling(judged: Mapping[str, float], started: Sequence[str]) -> set[str]:
    if len(started) <= _BEST + _LATEST:
        return set(started)
    latest = started[-_LATEST:]
    return set(latest) | set(sorted(started[:-_LATEST], key=lambda trial: judged[trial])[:_BEST])


def _lowest(process: Any, beta: float, seeds: Array, random: np.random.Generator) -> Array:
    # The place in the unit cube where the lower confidence bound is least: looked for everywhere and near the best
    # trials, then ever more closely around the best places.
    places = np.concatenate([random.uniform(size=(_PLACES, seeds.shape[1])), seeds])
    heights = _bound(process, beta, places)
    for step in _STEPS:
        best = np.argsort(heights, kind="stable")[:_FOLLOWED]
        around = np.repeat(places[best], 20, axis=0)
        # Half of the moves change a single coordinate, so that one at its end can stay there.
        moves = random.normal(0.0, step, around.shape)
        moves[::2] *= np.eye(around.shape[1])[random.integers(around.shape[1], size=len(moves[::2]))]
        around = np.clip(around + moves, 0.0, 1.0)
        places = np.concatenate([places[best], around])
        heights = np.concatenate([heights[best], _bound(process, beta, around)])
    return np.asarray(places[np.argmin(heights)], dtype=np.float64)


def _bound(process: Any, beta: float, places: Array) -> Array:
    mean, deviation = process.predict(places, return_std=True)
    return np.asarray(mean - beta * deviation, dtype=np.float64).reshape(-1)
