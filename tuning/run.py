"""A whole search from its configuration: trials on an engine, then the winner judged on the part it never saw."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from tuning.config import SearchConfig
from tuning.errors import SearchError, StoreError
from tuning.executors.local import LocalEngine
from tuning.executors.protocol import Engine
from tuning.final_score import FinalScore, final_score
from tuning.folder import SearchFolder
from tuning.programs.declaring import declare
from tuning.study.lock import SearchLock
from tuning.study.state import read_search
from tuning.study.study import Study
from tuning.trial import Trial
from zoo.errors import ArgumentError, UnknownNameError

# Reached by their names, so that a search on this machine needs neither Ray nor KerasTuner's service.
ENGINES: Mapping[str, str] = MappingProxyType({
    "local": "tuning.executors.local:LocalEngine",
    "ray": "tuning.executors.ray_cluster:RayEngine",
    "keras-tuner": "tuning.executors.keras_tuner_chief:KerasTunerEngine",
})


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search came to.

    Attributes:
        folder: Where everything of it lies.
        config: What was searched.
        trials: All trials by id, in the order in which they were begun.
        best: The best trial; None where none finished and met the constraints.
        front: The trials that no other beats in every objective; with one objective the best alone.
        finished: Whether the budget is used up; a search that was stopped goes on with the same call.
        final: How the best trial's model does on the test part, which the search never saw; None where the search
            is a hypermodel's, was stopped, or held no such part out.
    """

    folder: SearchFolder
    config: SearchConfig
    trials: Mapping[str, Trial]
    best: Trial | None
    front: tuple[Trial, ...]
    finished: bool
    final: FinalScore | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as JSON-ready data, the trials without their epochs."""
        return {"folder": str(self.folder.path), "finished": self.finished, "config": self.config.to_dict(),
                "best": self.best.id if self.best else None, "front": [trial.id for trial in self.front],
                "final": self.final.to_dict() if self.final else None,
                "trials": [trial_dict(trial) for trial in self.trials.values()]}


def run_search(config: SearchConfig | None, folder: str | os.PathLike[str], *, engine: Engine | None = None,
               listener: Any = None, judge: bool = True, restart: bool = False,
               tell: Callable[[str], None] | None = None) -> SearchResult:
    """Runs a search to its end, or goes on where it was; the same call after a crash loses nothing that was saved.

    Args:
        config: What is searched; None takes what stands in the folder.
        folder: The search's folder.
        engine: Where trials run; None takes one process per trial on this machine.
        listener: Told of what happens, see `tuning.study.events`.
        judge: Whether the best model is judged on the test part at the end.
        restart: Whether an earlier search in the folder is removed first.
        tell: Called with a line of text before what takes its time.

    Returns:
        The trials and the best of them.

    Raises:
        SearchError: The search cannot begin or go on; the message says what to do.
    """
    place = SearchFolder.at(folder)
    engine = engine or make_engine("local")
    if restart:
        remove_search(place)
    with contextlib.ExitStack() as stack:
        # It imports what trials need while the study opens.
        if isinstance(engine, LocalEngine) and not _is_over(place, config):
            stack.callback(engine.close)
            engine.warm_up()
        study = stack.enter_context(Study.open(place, config, listener=listener, declare=declare))
        if not study.done:
            engine.run(study)
        config, best, finished = study.config, study.best(), study.done
        trials, front = dict(study.trials), study.front()
    _require_one_that_ran(trials, place)
    final = None
    if judge and finished and best is not None and config.model:
        final = final_score(config, place, best.id, tell=tell)
    return SearchResult(folder=place, config=config, trials=trials, best=best, front=front, finished=finished,
                        final=final)


def _is_over(folder: SearchFolder, config: SearchConfig | None) -> bool:
    if not folder.config.is_file():
        return False
    view = read_search(folder)
    return view.reason == "finished" and (config is None or config.to_dict() == view.config.to_dict())


def _require_one_that_ran(trials: Mapping[str, Trial], folder: SearchFolder) -> None:
    """A mistake of the user's makes all trials fail in the same way: it is told as what it is."""
    ended = [trial for trial in trials.values() if trial.has_ended]
    if ended and all(trial.status == "failed" for trial in ended):
        last = ended[-1]
        raise SearchError(f"All {len(ended)} trials failed, the last one so: {last.error or last.kind} What it printed "
                          f"is in {folder.log(last.id)}. Mend that and begin anew: with `restart`, or in another "
                          "folder.")


def remove_search(folder: SearchFolder) -> None:
    """Removes a search and all that belongs to it, if there is one.

    Args:
        folder: Its folder.

    Raises:
        StoreError: A process works on it, or it cannot be removed.
        ArgumentError: The folder holds something else.
    """
    if not folder.path.exists():
        return
    if not folder.config.is_file() and not folder.journal.is_file():
        if any(folder.path.iterdir()):
            raise ArgumentError(f"{folder.path} holds files that are no search's. Name a new or empty folder.")
        return
    lock = SearchLock(folder.lock)
    try:
        for path in folder.path.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != folder.lock:
                path.unlink()
    except OSError as error:
        raise StoreError(f"The search in {folder.path} cannot be removed: {error}.") from error
    finally:
        lock.release()


def trial_dict(trial: Trial) -> dict[str, Any]:
    """Returns a trial as JSON-ready data, without its epochs.

    Args:
        trial: The trial.
    """
    return {name: getattr(trial, name) for name in ("id", "status", "measures", "spread", "attempts", "error", "kind",
                                                    "epochs", "seconds")} | {"values": trial.searched}


def make_engine(name: str, **options: Any) -> Engine:
    """Makes an engine by name.

    Args:
        name: One of `ENGINES`.
        **options: Arguments of its class; None stands for its own default.

    Returns:
        The engine.

    Raises:
        ArgumentError: No such engine, or an option that it does not take.
        MissingDependencyError: Its extra is not installed.
    """
    if name not in ENGINES:
        raise ArgumentError(UnknownNameError("engine", name, ENGINES, f"Known: {', '.join(ENGINES)}.").message)
    module, _, attribute = ENGINES[name].partition(":")
    given = {key: value for key, value in options.items() if value is not None}
    make = getattr(importlib.import_module(module), attribute)
    taken = inspect.signature(make).parameters
    for key in given:
        if key not in taken:
            raise ArgumentError(f"The engine {name} does not take `{key}`. It takes: {', '.join(taken)}.")
    return cast(Engine, make(**given))
