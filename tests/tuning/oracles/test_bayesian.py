"""The Gaussian process: better than chance, put off by failures, and not misled by single results."""

from __future__ import annotations

import math
import statistics

import pytest

from tests.tuning.oracles.simulation import Simulation, config_of
from tuning.oracles.bayesian import within
from tuning.oracles.protocol import Proposal
from tuning.study.pareto import hypervolume


def plane(hp):
    """Two numbers."""
    hp.Float("x", 0.0, 1.0)
    hp.Float("y", 0.0, 1.0)


def bowl(values):
    """Least at (0.7, 0.2)."""
    return {"val_loss": (values["x"] - 0.7) ** 2 + (values["y"] - 0.2) ** 2}


def best_of(path, oracle, measure, trials, seed, **options):
    search = Simulation(config_of(oracle, seed=seed, oracle_options=options), path, plane, measure, workers=2)
    search.run(trials)
    return min(trial.measures["val_loss"] for trial in search.trials.values() if trial.measures)


def test_it_finds_a_better_place_than_random_search(tmp_path):
    """After 20 trials on a smooth bowl the median over seeds is at least four times nearer to the least value."""
    losses = {oracle: statistics.median(best_of(tmp_path / f"{oracle}{seed}", oracle, bowl, 20, seed)
                                        for seed in range(1, 4)) for oracle in ("bayesian", "random")}
    assert losses["bayesian"] < losses["random"] / 4


def test_a_region_that_fails_is_left_alone(tmp_path):
    """Where trials fail or break a constraint the process stops looking, although it never saw a loss there."""
    def half(values):
        return None if values["x"] > 0.5 else bowl(values)

    search = Simulation(config_of("bayesian", seed=3), tmp_path, plane, half, workers=1)
    search.run(30)
    guided = list(search.trials.values())[5:]
    assert sum(trial.status == "failed" for trial in guided) < len(guided) / 3


def test_trials_that_all_failed_leave_the_search_random(tmp_path):
    """With nothing to learn from it goes on drawing, and does not ask a process without data."""
    search = Simulation(config_of("bayesian"), tmp_path, plane, lambda values: None, workers=1)
    search.run(12)
    assert len({tuple(trial.values.values()) for trial in search.trials.values()}) == 12


def test_losses_that_are_infinite_or_huge_do_not_hide_the_others(tmp_path):
    """A few diverged trainings change little about where it looks."""
    def diverging(values):
        return {"val_loss": math.inf if values["x"] < 0.1 else 1e12 if values["y"] > 0.9 else bowl(values)["val_loss"]}

    assert best_of(tmp_path, "bayesian", diverging, 24, 5) < 0.01


def test_far_losses_are_brought_near():
    """Infinite and far losses count as five times as far above the median as the best lies below it."""
    assert within([1.0, 2.0, 3.0, math.inf, 1e9]) == [1.0, 2.0, 3.0, 10.0, 10.0]
    assert within([2.0, 2.0, 2.0]) == [2.0, 2.0, 2.0]
    assert within([math.inf, math.inf]) == [0.0, 0.0]


def test_running_trials_are_not_proposed_again(tmp_path):
    """Six proposals in a row, none of them ended, are six different places."""
    search = Simulation(config_of("bayesian"), tmp_path, plane, bowl, workers=1)
    search.run(8)
    places = []
    for _ in range(6):
        found = search.driver.next()
        assert isinstance(found, Proposal)
        places.append((found.values["x"], found.values["y"]))
    assert min(math.dist(first, second) for i, first in enumerate(places) for second in places[:i]) > 1e-3


def test_two_objectives_spread_along_the_front(tmp_path):
    """With ParEGO's weights the dominated area is larger than random search's after as many trials."""
    def two(values):
        return {"val_loss": values["x"] ** 2 + values["y"], "latency_ms": (1 - values["x"]) ** 2 + values["y"]}

    def area(oracle, seed):
        search = Simulation(config_of(oracle, "val_loss", "latency_ms", seed=seed), tmp_path / f"{oracle}{seed}", plane,
                            two, workers=1)
        search.run(20)
        return hypervolume([tuple(trial.measures.values()) for trial in search.trials.values() if trial.measures],
                           (1.2, 1.2))

    guided, chance = ([area(oracle, seed) for seed in (1, 2, 3)] for oracle in ("bayesian", "random"))
    assert statistics.median(guided) > 1.1 * statistics.median(chance)


@pytest.mark.parametrize("direction", ["min", "max"])
def test_the_direction_of_the_objective_counts(direction, tmp_path):
    """A measure of which more is better is climbed as one of which less is better is descended."""
    sign = 1 if direction == "min" else -1
    search = Simulation(config_of("bayesian", f"{direction}:score"), tmp_path, plane,
                        lambda values: {"score": sign * bowl(values)["val_loss"]}, workers=1)
    search.run(20)
    assert min(abs(trial.measures["score"]) for trial in search.trials.values() if trial.measures) < 0.005


def test_whole_numbers_stay_in_their_range(tmp_path):
    """At its upper end KerasTuner's own logarithmic scale gives one more than there is."""
    def units(hp):
        hp.Int("units", 8, 1024, sampling="log")

    def measure(values):
        return {"val_loss": -values["units"]}

    search = Simulation(config_of("bayesian"), tmp_path, units, measure, workers=1)
    search.run(12)
    tried = [trial.values["units"] for trial in search.trials.values()]
    assert max(tried) == 1024
