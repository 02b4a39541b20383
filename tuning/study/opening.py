"""From a folder to all that a study needs: the lock, the configuration, the journal replayed, the oracle restored."""

from __future__ import annotations

import importlib
import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from tuning.config import SearchConfig
from tuning.errors import StoreError
from tuning.folder import SearchFolder
from tuning.oracles.protocol import Driver
from tuning.study import records
from tuning.study.identity import read_config, require_same, write_config
from tuning.study.journal import Journal, Record
from tuning.study.lock import SearchLock
from tuning.study.replay import SearchState

# Reached by their names, so that who only looks at a search, or brings a driver, does not wait for KerasTuner.
_DRIVER = "tuning.oracles.driver:make_driver"
_ADOPTION = "tuning.oracles.adoption:adopted_trials"

Declare = Callable[[Mapping[str, Any]], Callable[[Any], Any]]


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A search whose folder is held.

    Attributes:
        folder: The folder.
        config: What is searched.
        lock: Holds the folder.
        journal: Ready to be written.
        state: What the journal tells.
        driver: What chooses trials, restored.
        notes: What the user is to know of the opening.
    """

    folder: SearchFolder
    config: SearchConfig
    lock: SearchLock
    journal: Journal
    state: SearchState
    driver: Driver
    notes: tuple[str, ...]


def open_search(folder: SearchFolder, config: SearchConfig | None, *, clock: Callable[[], float],
                declare: Declare | None, driver: Callable[..., Driver] | None) -> Opened:
    """Takes a search's folder; see `Study.open`.

    Args:
        folder: The folder.
        config: What is searched, or None.
        clock: Returns seconds since 1970.
        declare: From a program's description to what declares its space.
        driver: Makes what chooses trials.

    Returns:
        The search.

    Raises:
        StoreError: The folder is in use, broken, full, or holds another search.
        SearchError: The search cannot begin.
    """
    if config is None and not folder.config.exists() and not folder.journal.exists():
        raise StoreError(f"There is no search in {folder.path}: {folder.config.name} is missing. Give the folder of a "
                         "search, or what is to be searched.")
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The search's folder cannot be made: {folder.path}: {error.strerror}.") from error
    lock = SearchLock(folder.lock)
    try:
        journal = Journal(folder.journal)
    except BaseException:
        lock.release()
        raise
    try:
        return _open_held(folder, config, lock, journal, clock, declare, driver)
    except BaseException:
        journal.close()
        lock.release()
        raise


def _open_held(folder: SearchFolder, config: SearchConfig | None, lock: SearchLock, journal: Journal,
               clock: Callable[[], float], declare: Declare | None, make: Callable[..., Driver] | None) -> Opened:
    state = SearchState()
    for record in journal.content.records:
        state.apply(record)
    known = read_config(folder) or (None if state.config is None else SearchConfig.from_dict(state.config))
    wanted = config or known
    if wanted is None:
        raise StoreError(f"There is no search in {folder.path}: neither {folder.config.name} nor the journal says "
                         "what is searched. Give what is to be searched.")
    if known is not None:
        require_same(known, wanted, folder)
    declared = declare(wanted.to_dict()) if declare is not None and wanted.hypermodel else None
    driver = (make or _load(_DRIVER))(wanted, folder, declared)
    notes = () if journal.cut is None else (
        f"the journal's last line was left half-written by a crash; it was cut off and is kept in {journal.cut.name}",)
    write_config(folder, wanted)
    described = json.loads(json.dumps(wanted.to_dict()))
    fresh = [records.opened(clock(), os.getpid(), socket.gethostname(),
                            None if state.config == described else described)]
    if not journal.content.lines:
        fresh += _adopted(folder, wanted, clock())
    journal.append(fresh)
    for record in fresh:
        state.apply(record)
    driver.restore(tuple(state.trials.values()))
    folder.stop_request.unlink(missing_ok=True)
    return Opened(folder=folder, config=wanted, lock=lock, journal=journal, state=state, driver=driver, notes=notes)


def _adopted(folder: SearchFolder, config: SearchConfig, now: float) -> list[Record]:
    """Returns the records of the trials that plain KerasTuner ran in this folder, if it did."""
    if not (folder.path / "oracle.json").exists():
        return []
    trials = _load(_ADOPTION)(folder, config)
    return [records.adopted(now, trial, config.seed + place * config.executions, config.epochs)
            for place, trial in enumerate(trials)]


def _load(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    return cast(Callable[..., Any], getattr(importlib.import_module(module), name))
