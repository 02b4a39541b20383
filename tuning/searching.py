"""`tuning.search`: a search from Python, for a registered model or a KerasTuner hypermodel."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tuning.code_references import reference_of, refuse_inside_a_trial
from tuning.config import SearchConfig
from tuning.executors.protocol import Engine
from tuning.folder import SearchFolder
from tuning.kept_arrays import keep_arrays
from tuning.live import LiveSearch
from tuning.plan import SpaceWishes, plan, plan_hypermodel
from tuning.run import SearchResult, make_engine, remove_search, run_search
from tuning.spaces.space import SearchSpace
from tuning.study.state import read_search
from zoo.data_source import DataSource
from zoo.errors import ArgumentError

_DATA = "data"  # the folder of kept arrays, in the search's own


def search(model: Any, data: Any = None, folder: str | os.PathLike[str] | None = None, *,
           space: SearchSpace | Mapping[str, Any] | str | os.PathLike[str] | None = None,
           fixed: Mapping[str, Any] | None = None, only: Iterable[str] = (), build: Mapping[str, Any] | None = None,
           training: Mapping[str, Any] | None = None, engine: Engine | str = "local", jobs: int | None = None,
           restart: bool = False, listener: Any = None, quiet: bool = False, **options: Any) -> SearchResult:
    """Searches for the best hyperparameters; the same call after a crash goes on where it was.

    Args:
        model: A registered name such as "mobilenet_v2"; or a KerasTuner `HyperModel` or a function `build(hp)` with a
            name at the top level of a file, or "file.py:name".
        data: For a registered model a path, the name of a public dataset, or a `zoo.data_source.DataSource`; for a
            hypermodel what `model.fit` takes: a dict of arrays ({"x": ..., "y": ..., "validation_data": (..., ...)},
            kept as .npy files in the folder), or a function without arguments that returns it.
        folder: The search's folder; "searches/<model>" if left out.
        space: Changes of a registered model's space, as `SearchSpace.changed` takes them; a whole space; or a file.
        fixed: Values of hyperparameters that are not searched.
        only: The hyperparameters that are searched; empty for all.
        build: Arguments of `zoo.build` that are the same in every trial.
        training: Fields of `TrainingConfig` that are the same in every trial.
        engine: Where trials run: "local", "ray", "keras-tuner", or an engine object.
        jobs: Trials at once, for an engine that is named.
        restart: Whether an earlier search in the folder is removed first.
        listener: Told of what happens; None shows it on standard error.
        quiet: Whether nothing is shown.
        **options: Further fields of `SearchConfig`: `trials`, `epochs`, `objectives`, `constraints`, `oracle`,
            `stopper`, `seed`, ...

    Returns:
        The trials, the best of them, and how it does on the test part.

    Raises:
        ZooError: Something does not fit or cannot go on; the message says what to do.
    """
    refuse_inside_a_trial()
    if isinstance(model, str) and ":" not in model:
        place = Path(folder or Path("searches") / model.partition(".")[0])
    else:
        model = reference_of(model, "model")
        place = Path(folder or Path("searches") / model.rpartition(":")[2])
    if restart:
        remove_search(SearchFolder.at(place))
    wishes = {"space": space, "fixed": fixed, "only": tuple(only), "build": build, "training": training}
    if ":" not in model:
        config = _planned(model, data, wishes, options)
    else:
        for name, value in wishes.items():
            if value:
                raise ArgumentError(f"`{name}` is for registered models; a hypermodel of your own says itself what is "
                                    "searched. Leave it out.")
        config = plan_hypermodel(model, _function_of(data, place.absolute() / _DATA), **options)
    runner = make_engine(engine, **{"max_concurrent" if engine == "ray" else "jobs": jobs}) if isinstance(
        engine, str) else engine
    if listener is not None:
        return run_search(config, place, engine=runner, listener=listener)
    known = SearchFolder.at(place)
    with LiveSearch(config, read_search(known) if known.config.exists() else None, quiet=quiet) as live:
        return run_search(config, place, engine=runner, listener=live, tell=live.say)


def _planned(model: str, data: Any, wishes: Mapping[str, Any], options: dict[str, Any]) -> SearchConfig:
    if isinstance(data, str | os.PathLike):
        data = DataSource(path=os.fspath(data), seed=options.get("seed", 0))
    if not isinstance(data, DataSource):
        raise ArgumentError("`data` for a registered model is a path, the name of a public dataset, or a DataSource. "
                            f"Received: {type(data).__name__}")
    space = wishes["space"]
    if isinstance(space, SearchSpace):
        options = {**options, "space": space}
    named = isinstance(space, str | os.PathLike)
    changes = SpaceWishes(file=space if named else None, settings=space if isinstance(space, Mapping) else {},
                          only=wishes["only"], fixed=wishes["fixed"] or {})
    return plan(model, data, wishes=changes, build=wishes["build"], training=wishes["training"], **options)


def _function_of(data: Any, folder: Path) -> str:
    if data is None:
        return ""
    return keep_arrays(folder, data) if isinstance(data, Mapping) else reference_of(data, "data")
