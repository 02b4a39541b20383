"""ROC AUC and average precision of weighted examples, exact with ties.

scikit-learn has both, but not for a thousand weightings of the same scores at once, which the bootstrap needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.evaluation.measurement import Floats, Integers, ones, ratio, row_means

_BLOCK_ENTRIES = 131_072  # weights looked at together: 1 MB stays in the cache


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
        places = _positive_groups(self.scores[order], self.positive[order])
        rows = max(1, _BLOCK_ENTRIES // len(order))
        blocks = [_areas(np.take(weights[start:start + rows], order, axis=1), places)
                  for start in range(0, len(weights), rows)]
        roc_auc, average_precision = (np.concatenate(column) for column in zip(*blocks, strict=True))
        return {"roc_auc": roc_auc, "average_precision": average_precision}


@dataclass(frozen=True, eq=False)
class _PositiveGroups:
    """Where the positive examples are among all, best score first, those of equal score (a group) together.

    Attributes:
        positives: Place of each positive example, [p].
        starts: Place in `positives` at which each group of them begins, [g].
        first: Place of the first example, positive or not, of each of these groups, [g].
        last: Place of the last one, [g].
    """

    positives: Integers
    starts: Integers
    first: Integers
    last: Integers


def _positive_groups(ordered: NDArray[np.floating], positive: NDArray[np.bool_]) -> _PositiveGroups:
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    ends = np.concatenate([begins[1:], [len(ordered)]]) - 1
    positives = np.flatnonzero(positive)
    group = np.searchsorted(begins, positives, side="right") - 1
    used, starts = np.unique(group, return_index=True)
    return _PositiveGroups(positives, starts, begins[used], ends[used])


def _areas(drawn: Floats, places: _PositiveGroups) -> tuple[Floats, Floats]:
    """Returns ROC AUC and average precision [b] for weights [b, N] in the order of falling score.

    Only the running sum looks at all N; the rest is computed where positives are, which are few of many classes.
    """
    if not places.positives.size:
        nothing = np.full(len(drawn), np.nan)
        return nothing, nothing
    own = np.add.reduceat(drawn[:, places.positives], places.starts, axis=1)
    leading = drawn[:, places.first]
    seen = np.cumsum(drawn, axis=1, out=drawn)
    until, before = seen[:, places.last], seen[:, places.first] - leading
    found = own.cumsum(axis=1)
    positives = found[:, -1]
    negatives = seen[:, -1] - positives
    # A positive wins against every negative after its group and half against those within it.
    beaten = negatives[:, None] - (until - found) + (until - before - own) / 2
    wins = np.einsum("bg,bg->b", own, beaten)
    precisions = np.einsum("bg,bg->b", own, ratio(found, until, empty=0.0))
    return ratio(wins, positives * negatives), ratio(precisions, positives)


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
