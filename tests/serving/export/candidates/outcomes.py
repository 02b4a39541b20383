"""Made-up outcomes of candidates, for what only computes with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from serving.export.candidates.choosing import Outcome
from serving.export.candidates.judging import Judgement
from serving.export.candidates.plan import Candidate
from serving.export.candidates.race import Timing

LABELS = np.arange(200) % 5


def outcome(name: str, milliseconds: Sequence[float], *, accuracy: float = 0.9, size: int = 1000, changed: int = 0,
            metric: str = "accuracy", reason: str = "") -> Outcome:
    """A candidate that was measured in as many rounds as there are milliseconds; calls of 8 take eight times as long.

    Args:
        name: Its level.
        milliseconds: Of a call of one, in each round.
        accuracy: Its metric.
        size: Its bytes.
        changed: To how many of 200 examples it gives another label than the others.
        metric: What the metric is.
        reason: Why it is out.
    """
    labels = LABELS.copy()
    labels[:changed] += 1
    rounds = {1: tuple(milliseconds), 8: tuple(8 * value for value in milliseconds)}
    return Outcome(candidate=Candidate(name=name, level=name), record={"asked": name}, size_bytes=size,
                   timing=Timing(rounds, rounds, 50.0), judgement=Judgement(metric, accuracy, 200, labels),
                   reason=reason)
