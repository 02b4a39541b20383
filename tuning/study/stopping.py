"""Early stopping of trials that do badly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tuning.config import SearchConfig
from tuning.trial import EpochReport, Trial


class Stopper(Protocol):
    """A rule of early stopping."""

    def decide(self, trial: Trial, report: EpochReport, trials: Mapping[str, Trial]) -> bool:
        """Tells whether a trial is to stop.

        Args:
            trial: The trial, `report` included.
            report: Its newest epoch.
            trials: All trials by id, `report` not yet included.
        """


def stopper_for(config: SearchConfig) -> Stopper | None:
    """Returns the rule of a search, or None where nothing stops early.

    Args:
        config: The search.
    """
    del config
    return None
