"""Every error that a search raises on purpose; all are ZooErrors.

    SearchError                a search that cannot begin or go on
    ├── SpaceError             a search space that cannot be read or does not fit (also an ArgumentError)
    ├── StoreError             a search's folder that is in use, broken, full or another search's
    ├── EngineError            an engine that cannot run trials: no cluster, no answer, wrong environment
    └── MeasureError           a measured objective that is unknown or could not be measured

A trial that fails is no exception of the search: it is recorded in the trial (`tuning.trial.TrialOutcome`).
"""

from __future__ import annotations

from zoo.errors import ArgumentError, ZooError


class SearchError(ZooError):
    """A search cannot begin or go on."""


class SpaceError(SearchError, ArgumentError):
    """A search space cannot be read, or does not fit the model."""


class StoreError(SearchError):
    """A search's folder is in use, broken, full, or belongs to another search."""


class EngineError(SearchError):
    """An engine cannot run trials."""


class MeasureError(SearchError):
    """A measured objective is unknown or could not be measured."""
