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
from tuning.study.journal import Record
from tuning.study.ledger import Ledger

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
        ledger: Journal and state.
        driver: What chooses trials, restored.
    """

    folder: SearchFolder
    config: SearchConfig
    ledger: Ledger
    driver: Driver


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
        raise _no_search(folder)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The search's folder cannot be made: {folder.path}: {error.strerror}.") from error
    ledger = Ledger(folder)
    with ledger.closed_if_it_fails():
        wanted = _agreed(folder, config, ledger)
        declared = declare(wanted.to_dict()) if declare is not None and wanted.hypermodel else None
        made = (driver or _load(_DRIVER))(wanted, folder, declared)
        write_config(folder, wanted)
        described = json.loads(json.dumps(wanted.to_dict()))
        ledger.write(records.opened(clock(), os.getpid(), socket.gethostname(),
                                    None if ledger.state.config == described else described),
                     *(_adopted(folder, wanted, clock()) if ledger.is_new else ()))
        made.restore(tuple(ledger.state.trials.values()))
        folder.stop_request.unlink(missing_ok=True)
    return Opened(folder=folder, config=wanted, ledger=ledger, driver=made)


def _agreed(folder: SearchFolder, config: SearchConfig | None, ledger: Ledger) -> SearchConfig:
    """Returns what is searched: what was given, if it is the same search as the folder's, or what the folder holds."""
    noted = ledger.state.config
    known = read_config(folder) or (None if noted is None else SearchConfig.from_dict(noted))
    wanted = config or known
    if wanted is None:
        raise _no_search(folder)
    if known is not None:
        require_same(known, wanted, folder)
    return wanted


def _no_search(folder: SearchFolder) -> StoreError:
    return StoreError(f"There is no search in {folder.path}: {folder.config.name} is missing. Give the folder of a "
                      "search, or what is to be searched.")


def _adopted(folder: SearchFolder, config: SearchConfig, now: float) -> list[Record]:
    """Returns the records of the trials that plain KerasTuner ran in this folder, if it did."""
    if not (folder.path / "oracle.json").exists():
        return []
    trials = _load(_ADOPTION)(folder, config)
    return [records.adopted(now, trial, config.seed + place * config.executions,
                            int(trial.values.get("tuner/epochs", config.epochs)))
            for place, trial in enumerate(trials)]


def _load(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    return cast(Callable[..., Any], getattr(importlib.import_module(module), name))
