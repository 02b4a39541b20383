"""Early stopping: the same decisions as Ray Tune's schedulers, after a restart as well."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace
from typing import Any

import pytest

from tuning.config import SearchConfig
from tuning.objectives import Objective
from tuning.study.stopping import AshaSettings, MedianSettings, stopper_for
from tuning.trial import EpochReport, Trial
from zoo.errors import ArgumentError

EPOCHS = 20


def search(stopper: str, direction: str = "max", **options: Any) -> SearchConfig:
    return SearchConfig(hypermodel="m.py:build", epochs=EPOCHS, stopper=stopper, stopper_options=options,
                        objectives=(Objective(name="score", direction=direction),))  # type: ignore[arg-type]


def reports_of(seed: int, trials: int = 40) -> list[tuple[str, int, float]]:
    """Curves that saturate at different heights, their reports mixed as several workers would mix them."""
    draw = random.Random(seed)
    left = {f"{index:04d}": (draw.random(), draw.uniform(0.1, 2.0)) for index in range(trials)}
    epochs = dict.fromkeys(left, 0)
    reports = []
    while left:
        name = draw.choice(list(left)[:4])
        epochs[name] += 1
        height, speed = left[name]
        reports.append((name, epochs[name], height * (1 - math.exp(-speed * epochs[name])) + draw.gauss(0, 0.02)))
        if epochs[name] == EPOCHS:
            del left[name]
    return reports


def decisions(config: SearchConfig, reports: list[tuple[str, int, float]], restart_after: int = -1) -> list[Any]:
    """The decision on every report that is still made once stopped trials report no more."""
    rule, trials, found, stopped = stopper_for(config), {}, [], set()
    for place, (name, epoch, value) in enumerate(reports):
        if place == restart_after:
            rule = stopper_for(config)
        if name in stopped:
            continue
        report = EpochReport(epoch=epoch, values={"score": value})
        trial = trials.setdefault(name, Trial(id=name, values={}))
        stops = rule.decide(trial, report, trials)
        trials[name] = trial.replace(history=(*trial.history, report))
        found.append((name, epoch, stops))
        stopped |= {name} if stops else set()
    return found


def rays(scheduler: Any, reports: list[tuple[str, int, float]]) -> list[Any]:
    controller = SimpleNamespace(get_live_trials=list)
    known: dict[str, Any] = {}
    found, stopped = [], set()
    for name, epoch, value in reports:
        if name in stopped:
            continue
        if name not in known:
            known[name] = _RayTrial(name)
            scheduler.on_trial_add(controller, known[name])
        if epoch == EPOCHS:
            scheduler.on_trial_complete(controller, known[name], {"training_iteration": epoch, "score": value})
            found.append((name, epoch, False))
            continue
        action = scheduler.on_trial_result(controller, known[name], {"training_iteration": epoch, "score": value})
        found.append((name, epoch, action == "STOP"))
        stopped |= {name} if action == "STOP" else set()
    return found


class _RayTrial:
    """What Ray's schedulers look at of a trial."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


@pytest.mark.parametrize("direction", ["max", "min"])
@pytest.mark.parametrize(("grace", "factor"), [(1, 3), (1, 4), (2, 2), (3, 2.5)])
def test_asha_decides_as_ray_does(direction, grace, factor):
    """On the same reports and settings every decision is the one of Ray's AsyncHyperBandScheduler."""
    schedulers = pytest.importorskip("ray.tune.schedulers")
    for seed in range(3):
        reports = reports_of(seed)
        ours = decisions(search("asha", direction, grace_period=grace, reduction_factor=factor), reports)
        theirs = rays(schedulers.AsyncHyperBandScheduler(metric="score", mode=direction, max_t=EPOCHS,
                                                         grace_period=grace, reduction_factor=factor), reports)
        assert ours == theirs
        assert any(stops for _, _, stops in ours)


@pytest.mark.parametrize("direction", ["max", "min"])
def test_the_median_rule_decides_as_ray_does(direction):
    """On the same reports every decision is the one of Ray's MedianStoppingRule with hard_stop."""
    schedulers = pytest.importorskip("ray.tune.schedulers")
    for seed, grace in enumerate((1, 2, 4)):
        reports = [report for report in reports_of(seed) if report[1] < EPOCHS]
        ours = decisions(search("median", direction, grace_period=grace, min_samples_required=4), reports)
        theirs = rays(schedulers.MedianStoppingRule(time_attr="training_iteration", metric="score", mode=direction,
                                                    grace_period=grace, min_samples_required=4), reports)
        assert ours == theirs
        assert any(stops for _, _, stops in ours)


@pytest.mark.parametrize("stopper", ["asha", "median"])
def test_a_restart_changes_no_decision(stopper):
    """A rule made anew in the middle goes by the trials' histories and decides as the old one would have."""
    reports = reports_of(5)
    whole = decisions(search(stopper), reports)
    for place in (1, 40, 150, 301):
        assert decisions(search(stopper), reports, restart_after=place) == whole


@pytest.mark.parametrize("stopper", ["asha", "median"])
def test_early_stopping_saves_epochs_and_keeps_the_best_trials(stopper):
    """On curves that do not cross, the best trial runs to its end and at least a third of all epochs is saved."""
    heights = random.Random(1).sample(range(1, 41), 40)
    reports = [(f"{index:04d}", epoch, height * (1 - 0.5 ** epoch)) for index, height in enumerate(heights)
               for epoch in range(1, EPOCHS + 1)]
    found = decisions(search(stopper), reports)
    assert (f"{heights.index(40):04d}", EPOCHS, False) in found
    assert len(found) < 2 / 3 * len(reports)


def test_a_diverged_trial_stops_at_the_next_rung_and_is_no_measure_for_others():
    """NaN is worse than every number, and the cut-off is taken over numbers alone."""
    reports = [("a", 1, math.nan), ("b", 1, 0.1), ("c", 1, math.nan), ("d", 1, 0.2)]
    assert decisions(search("asha"), reports) == [("a", 1, False), ("b", 1, False), ("c", 1, True), ("d", 1, False)]
    many = [*((name, 1, 0.1) for name in "abc"), ("d", 1, math.nan), ("e", 1, 0.2)]
    assert decisions(search("median"), many)[3:] == [("d", 1, True), ("e", 1, False)]


def test_only_the_first_execution_and_reports_with_the_objective_are_judged():
    """A repetition runs as far as the first execution did; a report without the objective decides nothing."""
    for name in ("asha", "median"):
        rule = stopper_for(search(name))
        trials = {f"{i}": Trial(id=f"{i}", values={}) for i in range(6)}
        for trial in list(trials.values())[:5]:
            assert not rule.decide(trial, EpochReport(epoch=1, values={"score": 1.0}), trials)
        bad = trials["5"]
        assert not rule.decide(bad, EpochReport(epoch=1, values={"score": 0.0}, execution=1), trials)
        assert not rule.decide(bad, EpochReport(epoch=1, values={"loss": 9.0}), trials)
        assert rule.decide(bad, EpochReport(epoch=1, values={"score": 0.0}), trials)


def test_without_a_stopper_nothing_stops():
    """The stopper none lets every trial end by itself."""
    assert not any(stops for _, _, stops in decisions(search("none"), reports_of(2)))


def test_settings_are_those_of_the_search():
    """Rungs follow from grace period, factor and epochs; defaults stand in for what is not given."""
    assert AshaSettings.of(search("asha")).rungs == (1, 3, 9)
    assert AshaSettings.of(search("asha", grace_period=2, reduction_factor=2)).rungs == (2, 4, 8, 16)
    assert MedianSettings.of(search("median")) == MedianSettings(grace_period=1, min_samples_required=3)


@pytest.mark.parametrize(("stopper", "options", "words"), [
    ("asha", {"grace": 1}, "Unknown option of the stopper asha 'grace'. Did you mean 'grace_period'"),
    ("asha", {"grace_period": 21}, "must not exceed the 20 epochs"),
    ("asha", {"reduction_factor": 1}, "must be a number above 1"),
    ("median", {"min_samples_required": 0}, "whole number of at least 1"),
    ("median", {"grace_period": 1.5}, "whole number of at least 1"),
    ("none", {"grace_period": 1}, "It takes none"),
])
def test_a_wrong_option_is_refused_by_name(stopper, options, words):
    """The refusal says which option it is and what it takes."""
    with pytest.raises(ArgumentError, match=words):
        stopper_for(search(stopper, **options))
