"""ROC AUC and average precision of weighted examples, exact with ties.

scikit-learn has both, but not for a thousand weightings of the same scores at once, which the bootstrap needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.evaluation.measurement import Floats, Integers, ones, ratio, row_means


@dataclass(frozen=True, eq=False)
class BinaryRanking:
    """How well scores order positive before negative examples.

    Attributes:
        scores: [N], higher means more probably positive.
        positive: bool [N].
    """

    scores: NDArray[np.floating]
    positive: NDArray[np.bool_]

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Returns "roc_auc" and "average_precision", each [b], for weights [b, N]; NaN where undefined."""
        order = np.argsort(-self.scores, kind="stable")
        drawn = weights[:, order]
        positive = drawn * self.positive[order]
        starts = _tie_starts(self.scores[order])
        if len(starts) < len(order):
            drawn = np.add.reduceat(drawn, starts, axis=1)
            positive = np.add.reduceat(positive, starts, axis=1)
        found, seen = positive.cumsum(axis=1), drawn.cumsum(axis=1)
        positives = found[:, -1].copy()
        negatives = seen[:, -1] - positives
        # A negative loses against every positive before it and half against those of its own score.
        wins = np.einsum("bg,bg->b", drawn - positive, found - positive / 2)
        areas = np.einsum("bg,bg->b", positive, ratio(found, seen, empty=0.0))
        return {"roc_auc": ratio(wins, positives * negatives), "average_precision": ratio(areas, positives)}


def _tie_starts(ordered: NDArray[np.floating]) -> Integers:
    """Returns the index at which each run of equal scores begins."""
    return np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))


@dataclass(frozen=True, eq=False)
class MacroRanking:
    """One class against the rest for each class, then the plain mean over the classes for which that is defined.

    Attributes:
        probabilities: float32 [N, C].
        targets: True class, int64 [N].
    """

    probabilities: NDArray[np.float32]
    targets: Integers

    def per_class(self, weights: Floats) -> tuple[Floats, Floats]:
        """Returns ROC AUC and average precision [b, C], NaN for classes that do not occur or have no rest."""
        classes = self.probabilities.shape[1]
        areas = np.full((2, len(weights), classes), np.nan)
        for index in np.unique(self.targets):
            values = BinaryRanking(self.probabilities[:, index], self.targets == index)(weights)
            areas[0, :, index] = values["roc_auc"]
            areas[1, :, index] = values["average_precision"]
        return areas[0], areas[1]

    def of_sample(self) -> tuple[Floats, Floats]:
        """Returns ROC AUC and average precision [C] of the sample itself."""
        roc_auc, average_precision = self.per_class(ones(len(self.targets)))
        return roc_auc[0], average_precision[0]

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Returns the macro means, each [b]."""
        roc_auc, average_precision = self.per_class(weights)
        return {"roc_auc": row_means(roc_auc), "average_precision": row_means(average_precision)}
