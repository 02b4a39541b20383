"""A search's folder as others see it: status and report read it, also while it runs, and load no TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tuning.config import SearchConfig
from tuning.errors import StoreError
from tuning.folder import SearchFolder
from tuning.study import pareto
from tuning.study.budget import Progress, progress_of
from tuning.study.identity import read_config
from tuning.study.journal import read_journal
from tuning.study.lock import is_held
from tuning.study.measures import best_trial
from tuning.study.replay import Owner, Remarked, SearchState
from tuning.trial import Trial, TrialTask


@dataclass(frozen=True, kw_only=True)
class SearchView:
    """What is known of a search at a moment.

    Attributes:
        folder: Where everything lies.
        config: What is searched.
        trials: All trials by id, in the order in which they were begun.
        tasks: The latest attempt at each, with its seed and the epoch that it rests after.
        remarks: What was noted down, in order.
        owner: The process that works on the search, or that did so last; None before the first.
        alive: Whether a process works on it now.
        stopping: Whether it was asked to stop and has not yet.
        reason: Why the last process left, of `tuning.study.events.EndReason`; "" while one works, or if it died.
        begun_at: Seconds since 1970 when the search was begun, or None.
        last_time: Seconds since 1970 of what happened last, or 0.
        progress: How much of the budget is used.
    """

    folder: SearchFolder
    config: SearchConfig
    trials: Mapping[str, Trial]
    tasks: Mapping[str, TrialTask]
    remarks: tuple[Remarked, ...]
    owner: Owner | None
    alive: bool
    stopping: bool
    reason: str
    begun_at: float | None
    last_time: float
    progress: Progress

    @property
    def best(self) -> Trial | None:
        """The best trial that met the constraints, by the first objective; None if there is none yet."""
        return best_trial(self.trials.values(), self.config)

    @property
    def front(self) -> tuple[Trial, ...]:
        """The trials that no other beats in every objective; with one objective the best alone."""
        return front_of(self.trials, self.config)


def read_search(folder: SearchFolder, *, clock: Callable[[], float] = time.time) -> SearchView:
    """Reads what is known of a search, also while a process works on it; nothing is changed.

    Args:
        folder: The search's folder.
        clock: Returns seconds since 1970.

    Returns:
        The search.

    Raises:
        StoreError: There is no search, or its files cannot be read.
    """
    alive = is_held(folder.lock)
    content = read_journal(folder.journal)
    state = SearchState()
    for record in content.records:
        state.apply(record)
    config = read_config(folder)
    if config is None and state.config is not None:
        config = SearchConfig.from_dict(state.config)
    if config is None:
        raise StoreError(f"There is no search in {folder.path}: {folder.config.name} is missing. Give the folder of a "
                         "search.")
    progress = progress_of(config, begun=len(state.trials), ended=sum(t.has_ended for t in state.trials.values()),
                           epochs=state.epochs, promised=state.promised,
                           seconds=state.seconds(clock() if alive else None))
    return SearchView(folder=folder, config=config, trials=MappingProxyType(state.trials),
                      tasks=MappingProxyType(state.tasks), remarks=tuple(state.remarks), owner=state.owner,
                      alive=alive, stopping=alive and folder.stop_request.exists(), reason=state.reason,
                      begun_at=state.begun_at, last_time=state.last_time, progress=progress)


def front_of(trials: Mapping[str, Trial], config: SearchConfig) -> tuple[Trial, ...]:
    """Returns the trials that no other beats in every objective; with one objective the best alone.

    Args:
        trials: Trials by id.
        config: Objectives and constraints.
    """
    if len(config.objectives) == 1:
        best = best_trial(trials.values(), config)
        return () if best is None else (best,)
    return tuple(pareto.front(trials.values(), config.objectives, config.constraints))


def request_stop(folder: SearchFolder) -> bool:
    """Asks the process that works on a search to stop after the epochs that run.

    Args:
        folder: The search's folder.

    Returns:
        Whether there is such a process.

    Raises:
        StoreError: There is no search in the folder, or it cannot be written.
    """
    if not folder.config.exists() and not folder.journal.exists():
        raise StoreError(f"There is no search in {folder.path}: {folder.config.name} is missing.")
    if not is_held(folder.lock):
        return False
    try:
        folder.stop_request.touch()
    except OSError as error:
        raise StoreError(f"The search's folder cannot be written: {folder.stop_request}: {error.strerror}.") from error
    return True
