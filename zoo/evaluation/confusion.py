"""Who was taken for whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from zoo.evaluation.measurement import Integers

WRITTEN_WHOLE = 100  # more classes are written as their cells that are not zero
_PAIRS = 25


@dataclass(frozen=True, kw_only=True)
class ConfusedPair:
    """Examples of one class that were taken for another; `share` is their share of the true class."""

    truth: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True, eq=False)
class Confusion:
    """The confusion matrix.

    Attributes:
        labels: C class names.
        matrix: Examples by true class (row) and decided class (column), int64 [C, C].
    """

    labels: tuple[str, ...]
    matrix: Integers

    def most_confused(self, limit: int = _PAIRS) -> tuple[ConfusedPair, ...]:
        """Returns the most frequent mistakes, most frequent first, at most `limit` of them."""
        wrong = self.matrix.copy()
        np.fill_diagonal(wrong, 0)
        support = self.matrix.sum(axis=1)
        order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
        cells = [divmod(int(place), len(self.labels)) for place in order]
        return tuple(ConfusedPair(truth=self.labels[row], predicted=self.labels[column], count=int(wrong[row, column]),
                                  share=float(wrong[row, column] / support[row]))
                     for row, column in cells if wrong[row, column] > 0)

    def to_dict(self) -> dict[str, Any]:
        """Returns the matrix as JSON-ready data: whole, or as its non-zero [row, column, count] for many classes."""
        whole = len(self.labels) <= WRITTEN_WHOLE
        cells = [] if whole else [[int(row), int(column), int(self.matrix[row, column])]
                                  for row, column in np.argwhere(self.matrix)]
        return {"rows": "true class", "columns": "predicted class",
                "matrix": self.matrix.tolist() if whole else None, "cells": None if whole else cells,
                "most_confused": [dict(vars(pair)) for pair in self.most_confused()]}


def confusion_of(targets: Integers, predicted: Integers, labels: tuple[str, ...]) -> Confusion:
    """Counts who was taken for whom.

    Args:
        targets: True class, int64 [N].
        predicted: Decided class, int64 [N].
        labels: C class names.

    Returns:
        The counts.
    """
    return Confusion(labels, confusion_matrix(targets, predicted, labels=np.arange(len(labels))))
