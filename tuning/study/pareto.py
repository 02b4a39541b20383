"""Several objectives at once: dominance, the Pareto front, ranks, crowding, hypervolume and ParEGO's scalarisation.

A point is a sequence of losses, one per objective; less of each is better, and infinity stands for what is not known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from tuning.objectives import Constraint, Objective, unmet
from tuning.trial import Trial

Point = Sequence[float]

# Share of the plain weighted sum in ParEGO's function (Knowles 2006), which orders points that its maximum ties.
_SUM_SHARE = 0.05


def measure_of(trial: Trial, objective: Objective) -> float:
    """Returns what a trial reached of an objective.

    Args:
        trial: A trial; one that has no final measure counts with the best epoch that it reported.
        objective: The objective.

    Returns:
        The measure; NaN where none is known.
    """
    if objective.name in trial.measures:
        return float(trial.measures[objective.name])
    best = math.nan
    for report in trial.history:
        value = float(report.values.get(objective.name, math.nan))
        if objective.better(value, best):
            best = value
    return best


def losses_of(trial: Trial, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """Returns a trial's point: for each objective what it reached, so that less is better.

    Args:
        trial: A trial.
        objectives: The objectives.
    """
    return tuple(objective.loss(measure_of(trial, objective)) for objective in objectives)


def dominates(first: Point, second: Point) -> bool:
    """Tells whether a point is nowhere worse than another and somewhere better.

    Args:
        first: Losses.
        second: As many losses.
    """
    return all(a <= b for a, b in zip(first, second, strict=True)) and any(
        a < b for a, b in zip(first, second, strict=True))


def front(trials: Iterable[Trial], objectives: Sequence[Objective],
          constraints: Sequence[Constraint] = ()) -> tuple[Trial, ...]:
    """Returns the trials that no other trial dominates, best in the first objective first.

    Args:
        trials: Any trials; those count that were completed or stopped, have a number for every objective and meet
            every constraint.
        objectives: The objectives.
        constraints: The constraints.

    Returns:
        The Pareto front. Trials that are equal in every objective all stand in it.
    """
    able = []
    for trial in trials:
        if trial.status in ("completed", "stopped") and not unmet(constraints, trial.measures):
            point = losses_of(trial, objectives)
            if all(math.isfinite(loss) for loss in point):
                able.append((point, trial))
    chosen = [able[index] for index in _first_front([point for point, _ in able])]
    return tuple(trial for _, trial in sorted(chosen, key=lambda pair: (tuple(pair[0]), pair[1].id)))


def ranks(points: Sequence[Point]) -> list[int]:
    """Returns each point's non-dominated rank: 0 on the front, 1 on the front of what is left without it, ...

    Args:
        points: The points.
    """
    found = [0] * len(points)
    left = list(range(len(points)))
    rank = 0
    while left:
        on_front = {left[index] for index in _first_front([points[index] for index in left])}
        for index in on_front:
            found[index] = rank
        left = [index for index in left if index not in on_front]
        rank += 1
    return found


def crowding(points: Sequence[Point]) -> list[float]:
    """Returns how alone each point stands among points of one rank (NSGA-II's crowding distance).

    Args:
        points: Points of one rank.

    Returns:
        For each point the sum over the objectives of the distance between its neighbours, as a share of the whole
        range; infinite for the outermost ones.
    """
    distances = [0.0] * len(points)
    for losses in zip(*points, strict=True):
        order = sorted(range(len(points)), key=lambda index: losses[index])
        span = losses[order[-1]] - losses[order[0]]
        for place, index in enumerate(order):
            if place in (0, len(order) - 1):
                distances[index] = math.inf
            elif 0 < span < math.inf:
                distances[index] += (losses[order[place + 1]] - losses[order[place - 1]]) / span
    return distances


def order_of(points: Sequence[Point]) -> list[int]:
    """Returns the indices of points from the best to the worst: by rank, then the lonelier first, then as they came.

    Args:
        points: The points.
    """
    rank = ranks(points)
    alone = [0.0] * len(points)
    for level in set(rank):
        members = [index for index, value in enumerate(rank) if value == level]
        for index, distance in zip(members, crowding([points[index] for index in members]), strict=True):
            alone[index] = distance
    return sorted(range(len(points)), key=lambda index: (rank[index], -alone[index], index))


def hypervolume(points: Iterable[Point], reference: Point) -> float:
    """Returns the volume that points dominate, up to a reference point; more is better.

    Args:
        points: The points. Those that do not lie below the reference in every objective add nothing.
        reference: The worst corner that counts; it fixes the number of objectives. Meant for two or three.

    Returns:
        The volume in the product of the objectives' units.
    """
    inside = [tuple(point) for point in points
              if all(loss < bound for loss, bound in zip(point, reference, strict=True))]
    return _volume(inside, tuple(reference))


def weights_of(objectives: int, seed: int, index: int) -> list[float]:
    """Returns ParEGO's weights for one proposal: drawn evenly from all that are positive and add up to 1.

    Args:
        objectives: How many weights.
        seed: The search's seed.
        index: The proposal's number in the search; the same seed and number give the same weights.
    """
    return [float(weight) for weight in np.random.default_rng([seed, index]).dirichlet([1.0] * objectives)]


def scalarise(points: Sequence[Point], weights: Sequence[float]) -> list[float]:
    """Returns one loss per point: ParEGO's augmented Chebyshev function of the losses on a scale from 0 to 1.

    Args:
        points: The points; the scale goes from the least to the greatest finite loss of each objective.
        weights: One per objective.

    Returns:
        A loss per point, from 0 (best in everything) to about 1; a loss that is not finite counts as the greatest.
    """
    if not len(points):
        return []
    table = np.asarray(points, dtype=np.float64)
    weighted = np.empty_like(table)
    for column, weight in enumerate(weights):
        losses = table[:, column]
        finite = losses[np.isfinite(losses)]
        low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
        scaled = (np.clip(losses, low, high) - low) / (high - low) if high > low else np.zeros_like(losses)
        weighted[:, column] = weight * np.where(losses == np.inf, 1.0, scaled)
    return [float(loss) for loss in weighted.max(axis=1) + _SUM_SHARE * weighted.sum(axis=1)]


def _first_front(points: Sequence[Point]) -> list[int]:
    if not points:
        return []
    table = np.asarray(points, dtype=np.float64)
    # In this order no point is dominated by a later one, so that each is compared with the front so far alone.
    order = np.lexsort(table.T[::-1])
    kept: list[int] = []
    values = np.empty_like(table)
    for index in order:
        ahead = values[:len(kept)]
        beaten = (ahead <= table[index]).all(axis=1) & (ahead < table[index]).any(axis=1)
        if not beaten.any():
            values[len(kept)] = table[index]
            kept.append(int(index))
    return sorted(kept)


def _volume(points: list[tuple[float, ...]], reference: tuple[float, ...]) -> float:
    if not points:
        return 0.0
    if len(reference) == 1:
        return reference[0] - min(point[0] for point in points)
    # Slices along the last objective: between two of its values the points up to the lower one count.
    levels = sorted({point[-1] for point in points})
    total = 0.0
    for level, upper in zip(levels, [*levels[1:], reference[-1]], strict=True):
        total += (upper - level) * _volume([point[:-1] for point in points if point[-1] <= level], reference[:-1])
    return total
