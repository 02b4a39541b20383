"""Several objectives at once, each function against a brute-force count of the same thing."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning.objectives import Constraint, Objective
from tuning.study import pareto
from tuning.trial import EpochReport, Trial

# Few values, so that points tie and dominate each other often.
LOSS = st.integers(0, 6).map(float)
POINTS = st.integers(2, 3).flatmap(lambda size: st.lists(st.tuples(*[LOSS] * size), min_size=1, max_size=25))
ACCURACY, LATENCY = Objective.parse("val_accuracy"), Objective.parse("latency_ms")


def trial(name: str, accuracy: float, latency: float, status: str = "completed") -> Trial:
    return Trial(id=name, values={}, status=status, measures={"val_accuracy": accuracy, "latency_ms": latency})  # type: ignore[arg-type]


@given(POINTS)
def test_a_point_has_rank_zero_exactly_if_nothing_dominates_it(points):
    """Rank 0 is what no other point dominates, ties included."""
    rank = pareto.ranks(points)
    for index, point in enumerate(points):
        assert (rank[index] == 0) == (not any(pareto.dominates(other, point) for other in points))


@given(POINTS)
def test_ranks_are_lengths_of_chains_of_dominance(points):
    """A point's rank is the length of the longest chain of points above it, each dominating the next."""
    def longest(index: int) -> int:
        above = [other for other in range(len(points)) if pareto.dominates(points[other], points[index])]
        return 1 + max(map(longest, above)) if above else 0

    assert pareto.ranks(points) == [longest(index) for index in range(len(points))]


@given(POINTS)
def test_hypervolume_is_the_number_of_unit_cells_that_points_dominate(points):
    """On whole numbers the volume is a count of cells."""
    size = len(points[0])
    cells = sum(any(all(loss <= corner for loss, corner in zip(point, cell, strict=True)) for point in points)
                for cell in itertools.product(range(5), repeat=size))
    assert pareto.hypervolume(points, [5.0] * size) == pytest.approx(cells)


def test_hypervolume_ignores_what_lies_beyond_the_reference():
    """Points at or beyond the reference add nothing, and no points make no volume."""
    assert pareto.hypervolume([(5.0, 1.0), (7.0, 0.0), (math.inf, 0.0)], (5.0, 5.0)) == 0.0
    assert pareto.hypervolume([], (1.0, 1.0)) == 0.0


def test_crowding_is_infinite_at_the_ends_and_largest_in_the_gap():
    """NSGA-II's distance: ends first, then the point with the most room around it."""
    points = [(0.0, 10.0), (1.0, 9.0), (5.0, 5.0), (9.0, 1.0), (10.0, 0.0)]
    distances = pareto.crowding(points)
    assert distances[0] == distances[4] == math.inf
    assert distances[2] == pytest.approx(1.6)
    assert distances[1] == distances[3] == pytest.approx(1.0)
    assert pareto.order_of([*points, (6.0, 6.0)]) == [0, 4, 2, 1, 3, 5]


@given(POINTS, st.integers(0, 2 ** 32), st.integers(0, 50))
def test_the_least_scalarised_point_is_on_the_front(points, seed, index):
    """With positive weights ParEGO's function is least where nothing dominates."""
    weights = pareto.weights_of(len(points[0]), seed, index)
    losses = pareto.scalarise(points, weights)
    assert sum(weights) == pytest.approx(1.0)
    assert min(weights) >= 0.0
    best = min(range(len(points)), key=lambda place: losses[place])
    assert pareto.ranks(points)[best] == 0 or losses[best] == pytest.approx(
        min(losses[place] for place, rank in enumerate(pareto.ranks(points)) if rank == 0))


def test_every_point_of_a_concave_front_is_best_for_some_weights():
    """A weighted sum would only ever choose the two ends of a front that bends inwards; this function reaches all."""
    points = [(0.0, 1.0), (0.6, 0.7), (0.7, 0.6), (1.0, 0.0)]
    chosen = {int(np.argmin(pareto.scalarise(points, pareto.weights_of(2, 1, index)))) for index in range(200)}
    assert chosen == {0, 1, 2, 3}


def test_a_loss_that_is_no_number_counts_as_the_worst():
    """An infinite loss takes the place of the greatest one and spoils no scale."""
    assert pareto.scalarise([(0.0, 0.0), (1.0, 1.0), (math.inf, 0.0)], (0.5, 0.5)) == pytest.approx([0.0, 0.55, 0.525])
    assert pareto.scalarise([(math.inf,), (math.inf,)], (1.0,)) == pytest.approx([1.05, 1.05])
    assert pareto.scalarise([], (1.0,)) == []


def test_the_front_holds_what_ended_well_and_meets_the_constraints():
    """Failed and running trials, missing numbers and broken constraints do not count; ties all stand in it."""
    trials = [trial("a", 0.9, 9.0), trial("b", 0.8, 2.0, "stopped"), trial("c", 0.8, 2.0), trial("d", 0.7, 3.0),
              trial("e", 0.99, 1.0, "failed"), trial("f", 0.99, 1.0, "infeasible"), trial("g", math.nan, 0.1),
              trial("h", 0.5, 0.5, "running"), trial("i", 0.95, 50.0)]
    found = pareto.front(trials, (ACCURACY, LATENCY), (Constraint.parse("latency_ms<=10"),))
    assert [one.id for one in found] == ["a", "b", "c"]
    assert [one.id for one in pareto.front(trials, (ACCURACY, LATENCY))] == ["i", "a", "b", "c"]


def test_a_trial_without_final_measures_counts_with_its_best_epoch():
    """A stopped trial is judged by the best that it reported."""
    history = tuple(EpochReport(epoch=epoch, values={"val_accuracy": value})
                    for epoch, value in enumerate((0.2, math.nan, 0.6, 0.5), start=1))
    stopped = Trial(id="a", values={}, status="stopped", history=history)
    assert pareto.measure_of(stopped, ACCURACY) == 0.6
    assert pareto.losses_of(stopped, (ACCURACY, LATENCY)) == (-0.6, math.inf)
