"""Metrics of class decisions and of the probabilities behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from zoo.evaluation.measurement import Floats, Integers, finite_or_none, group_sums, ratio, row_means

_ROWS = 4096  # examples looked at together: 1000 classes need 16 MB per copy
_SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)  # what scikit-learn clips float32 probabilities to


@dataclass(frozen=True, eq=False)
class ConfusionRates:
    """Accuracy, precision, recall and F1, computed from who was taken for whom.

    The macro figures are means over the classes that occur in the (re)sample. A class that occurs and is never
    predicted counts with precision 0, as scikit-learn has it.

    Attributes:
        targets: True class, int64 [N].
        predicted: Decided class, int64 [N].
        classes: Number of classes C.
        positive: Index of the positive class; None for no figures of a positive class.
    """

    targets: Integers
    predicted: Integers
    classes: int
    positive: int | None = None

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Returns the rates, one [b] per name, for weights [b, N]."""
        hit = self.targets == self.predicted
        support = group_sums(self.targets, weights, self.classes)
        predicted = group_sums(self.predicted, weights, self.classes)
        hits = group_sums(self.targets, weights * hit, self.classes)
        present = support > 0
        precision = np.where(present, ratio(hits, predicted, empty=0.0), np.nan)
        f1 = np.where(present, ratio(2 * hits, support + predicted), np.nan)
        accuracy = hits.sum(axis=1) / weights.sum(axis=1)
        rates = {"accuracy": accuracy,
                 "precision_macro": row_means(precision),
                 "recall_macro": row_means(ratio(hits, support)),
                 "f1_macro": row_means(f1),
                 "precision_micro": accuracy, "recall_micro": accuracy, "f1_micro": accuracy}
        if self.positive is not None:
            rates |= _positive_rates(hits, support, predicted, self.positive)
        return rates


def _positive_rates(hits: Floats, support: Floats, predicted: Floats, positive: int) -> dict[str, Floats]:
    hit, true, said = hits[:, positive], support[:, positive], predicted[:, positive]
    negatives = support.sum(axis=1) - true
    return {"precision": ratio(hit, said), "recall": ratio(hit, true),
            "specificity": ratio(negatives - (said - hit), negatives), "f1": ratio(2 * hit, true + said)}


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    """How one class fared; None where a figure is undefined for it.

    Attributes:
        label: The class's name.
        support: Examples of this class.
        predicted: Examples that were taken for this class.
        precision: Of those taken for it, the share that is; None if none was.
        recall: Of its examples, the share that was found; None if there are none.
        f1: Harmonic mean of the two; None if both counts are zero.
        roc_auc: This class against the rest; None if it has no examples or all of them.
        average_precision: This class against the rest; None if it has no examples.
    """

    label: str
    support: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    average_precision: float | None

    def to_dict(self) -> dict[str, Any]:
        """Returns the row as JSON-ready data."""
        return dict(vars(self))


def class_results(targets: Integers, predicted: Integers, labels: tuple[str, ...], roc_auc: Floats,
                  average_precision: Floats) -> tuple[ClassResult, ...]:
    """Builds the table of classes.

    Args:
        targets: True class, int64 [N].
        predicted: Decided class, int64 [N].
        labels: C class names.
        roc_auc: One against the rest per class, float64 [C], NaN where undefined.
        average_precision: As `roc_auc`.

    Returns:
        One row per class in the order of the labels.
    """
    count = len(labels)
    precision, recall, f1, support = precision_recall_fscore_support(
        targets, predicted, labels=np.arange(count), zero_division=np.nan)
    said = np.bincount(predicted, minlength=count)
    return tuple(ClassResult(label=label, support=int(support[i]), predicted=int(said[i]),
                             precision=finite_or_none(precision[i]), recall=finite_or_none(recall[i]),
                             f1=finite_or_none(f1[i]), roc_auc=finite_or_none(roc_auc[i]),
                             average_precision=finite_or_none(average_precision[i]))
                 for i, label in enumerate(labels))


@dataclass(frozen=True, eq=False)
class ProbabilityScores:
    """What is known of each example from its probabilities, each [N].

    Attributes:
        predicted: Most probable class, the first of equals, int64.
        confidence: Its probability.
        truth: Probability of the true class.
        rank: Number of classes that come before the true one, int64; 0 is a right answer.
        squared_distance: Sum over classes of (probability - truth)^2, in [0, 2].
    """

    predicted: Integers
    confidence: Floats
    truth: Floats
    rank: Integers
    squared_distance: Floats

    @property
    def log_loss(self) -> Floats:
        """-ln(probability of the true class) in nats, clipped so that it is finite."""
        return negative_log(self.truth)


def negative_log(probability: Floats) -> Floats:
    """Returns -ln(p) with p kept away from 0 and 1 by the smallest float32 step."""
    return -np.log(np.clip(probability, _SMALLEST_PROBABILITY, 1.0 - _SMALLEST_PROBABILITY))


def score_probabilities(probabilities: NDArray[np.float32], targets: Integers) -> ProbabilityScores:
    """Reduces probabilities to a few numbers per example, block by block.

    Args:
        probabilities: float32 [N, C].
        targets: True class, int64 [N].

    Returns:
        The scores of N examples.
    """
    blocks = [_score_block(probabilities[start:start + _ROWS], targets[start:start + _ROWS])
              for start in range(0, len(targets), _ROWS)]
    columns = [np.concatenate(column) for column in zip(*blocks, strict=True)]
    return ProbabilityScores(*columns)


def _score_block(block: NDArray[np.float32], targets: Integers) -> tuple[NDArray[Any], ...]:
    rows = np.arange(len(block))
    predicted = block.argmax(axis=1)
    own = block[rows, targets]
    # Equal probabilities are ranked by class index, as argmax does; so rank 0 is "predicted" and ties give no luck.
    earlier = np.arange(block.shape[1]) < targets[:, None]
    rank = ((block > own[:, None]) | ((block == own[:, None]) & earlier)).sum(axis=1)
    truth = own.astype(np.float64)
    squares = np.einsum("nc,nc->n", block, block, dtype=np.float64)
    return predicted, block[rows, predicted].astype(np.float64), truth, rank, squares - 2.0 * truth + 1.0
