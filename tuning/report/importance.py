"""How much each hyperparameter matters: functional ANOVA on a forest (Hutter, Hoos and Leyton-Brown, ICML 2014).

A forest of regression trees learns the loss as a function of the hyperparameters. A tree is constant on boxes, so the
variance that one hyperparameter (or two together) brings about, averaged over all the others, is an exact sum over
its leaves; nothing is sampled. Each hyperparameter counts as spread evenly over its axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

FEWEST_TRIALS = 10
_TREES, _LEAVES = 64, 512
_PAIRED = 5  # two hyperparameters together are looked at among so many of the most important
_TRUSTED = 0.5  # out-of-bag R² below which the forest does not know what it speaks of

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Importance:
    """The shares of the loss's variance.

    Attributes:
        shares: For each hyperparameter alone its share in [0, 1], largest first.
        pairs: For two together what they add to the two alone, largest first.
        explained: R² of the forest on trials that its trees have not seen; None where there are no shares.
        trials: Number of trials that were looked at.
        note: What to bear in mind, or why there are no shares; may be empty.
    """

    shares: dict[str, float]
    pairs: dict[tuple[str, str], float]
    explained: float | None
    trials: int
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns the shares as JSON-ready data."""
        return {"shares": self.shares, "pairs": [[*names, share] for names, share in self.pairs.items()],
                "explained": self.explained, "trials": self.trials, "note": self.note}


def importance_of(places: Floats, losses: Floats, names: Sequence[str], *, seed: int = 0) -> Importance:
    """Tells how much of the loss's variance each hyperparameter brings about.

    Args:
        places: Where each trial's hyperparameters lie, float64 [trials, hyperparameters] in [0, 1].
        losses: Their losses, float64 [trials], finite. Far outliers on the bad side count as the edge of the others,
            because one training that went astray would hide all else.
        names: The hyperparameters' names.
        seed: Of the forest.
    """
    count = len(losses)
    if count < FEWEST_TRIALS:
        return _nothing(count, f"Importance needs at least {FEWEST_TRIALS} trials with a result. There "
                               f"{'is' if count == 1 else 'are'} {count}.")
    if not names:
        return _nothing(count, "No hyperparameter has two values yet, so none can be compared.")
    losses = _without_outliers(losses)
    if np.ptp(losses) == 0.0:
        return _nothing(count, "All trials came out alike, so no hyperparameter matters.")
    forest = RandomForestRegressor(_TREES, max_leaf_nodes=_LEAVES, oob_score=True, random_state=seed)
    forest.fit(places, losses)
    found = [effects for estimator in forest.estimators_ if (effects := tree_effects(estimator.tree_)) is not None]
    if not found:
        return _nothing(count, "The hyperparameters do not tell good trials from bad ones yet.")
    alone = np.mean([effects.alone for effects in found], axis=0)
    leading = sorted(np.argsort(-alone, kind="stable")[:_PAIRED].tolist())
    pairs = {(i, j): float(np.mean([effects.together(i, j) for effects in found]))
             for i in leading for j in leading if i < j}
    explained = float(forest.oob_score_)
    note = "" if explained >= _TRUSTED else (
        f"Take these shares as a hint at most: on trials that it has not seen the forest explains "
        f"{max(explained, 0.0):.0%} of the variance. More trials, or more executions of each, make it clearer.")
    return Importance(shares={names[i]: float(alone[i]) for i in np.argsort(-alone, kind="stable")},
                      pairs={(names[i], names[j]): share
                             for (i, j), share in sorted(pairs.items(), key=lambda pair: -pair[1])},
                      explained=explained, trials=count, note=note)


class TreeEffects:
    """What one tree says: shares of its variance over the unit cube.

    Args:
        lows: Lower edges of the leaves' boxes, float64 [leaves, axes].
        highs: Their upper edges.
        values: The tree's value in each box, float64 [leaves].
    """

    def __init__(self, lows: Floats, highs: Floats, values: Floats) -> None:
        self._lows, self._highs, self._values = lows, highs, values
        self._sides = highs - lows
        self._volumes = np.prod(self._sides, axis=1)
        self._mean = float(values @ self._volumes)
        self.variance = float((values - self._mean) ** 2 @ self._volumes)
        self.alone: list[float] = []
        if self.variance > 0.0:
            self.alone = [self._variance_of(axis) / self.variance for axis in range(lows.shape[1])]

    def together(self, first: int, second: int) -> float:
        """Returns the share that two axes bring about together beyond the two alone."""
        inside_first, widths_first = self._cells(first)
        inside_second, widths_second = self._cells(second)
        weights = self._values * self._volumes / (self._sides[:, first] * self._sides[:, second])
        marginal = inside_first.T @ (inside_second * weights[:, None]) - self._mean
        share = float(widths_first @ marginal**2 @ widths_second) / self.variance
        return max(0.0, share - self.alone[first] - self.alone[second])

    def _variance_of(self, axis: int) -> float:
        inside, widths = self._cells(axis)
        marginal = (self._values * self._volumes / self._sides[:, axis]) @ inside - self._mean
        return float(widths @ marginal**2)

    def _cells(self, axis: int) -> tuple[Floats, Floats]:
        """Cuts an axis at every edge of a box: which boxes reach over which piece, and how wide the pieces are."""
        cuts = np.unique(np.concatenate([self._lows[:, axis], self._highs[:, axis]]))
        inside = (self._lows[:, axis, None] <= cuts[None, :-1]) & (self._highs[:, axis, None] >= cuts[None, 1:])
        return inside.astype(np.float64), np.diff(cuts)


def tree_effects(tree: Any) -> TreeEffects | None:
    """Returns the effects in a fitted tree, or None if it is the same everywhere in the unit cube.

    Args:
        tree: The `tree_` of a scikit-learn regression tree over [0, 1] axes.
    """
    lows, highs = np.zeros((tree.node_count, tree.n_features)), np.ones((tree.node_count, tree.n_features))
    for node in range(tree.node_count):  # a node stands before its children
        left, right, axis = tree.children_left[node], tree.children_right[node], tree.feature[node]
        if left >= 0:
            lows[left], highs[left], lows[right], highs[right] = lows[node], highs[node], lows[node], highs[node]
            highs[left, axis] = lows[right, axis] = np.clip(tree.threshold[node], 0.0, 1.0)
    leaves = (tree.children_left < 0) & (np.min(highs - lows, axis=1) > 0.0)
    effects = TreeEffects(lows[leaves], highs[leaves], tree.value[leaves, 0, 0])
    return effects if effects.variance > 0.0 else None


def _without_outliers(losses: Floats) -> Floats:
    low, high = np.quantile(losses, (0.25, 0.75))
    return np.minimum(losses, high + 3.0 * (high - low)) if high > low else losses


def _nothing(trials: int, note: str) -> Importance:
    return Importance(shares={}, pairs={}, explained=None, trials=trials, note=note)
