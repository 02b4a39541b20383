"""From a trial to a served model: its run is exported, with the search that found it in manifest and model card.

Who exports is an installed package, through the entry-point group "zoo.exporters": a function
(run folder, root, *, name) that returns the folder of the published version, <root>/<name>/<version>.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuning.errors import SearchError
from tuning.folder import SearchFolder
from tuning.study.state import SearchView, read_search
from tuning.trial import Trial
from zoo.bundle import load, save
from zoo.bundle_index import is_bundle
from zoo.spec import attach_record, record_of

ENTRY_POINT_GROUP = "zoo.exporters"

Exporter = Callable[..., Path]


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published version.

    Attributes:
        name: The name that it is served under.
        version: Its number.
        path: Its folder.
    """

    name: str
    version: int
    path: Path


def publish(run_folder: str | os.PathLike[str], root: str | os.PathLike[str], *, name: str | None = None,
            exporter: Exporter | None = None) -> Published:
    """Publishes a trial's model in a model repository, through the same validated export as every model.

    Args:
        run_folder: <search>/trial_0007/execution0, or any other run's folder.
        root: The model repository; made if missing.
        name: Name to serve it under; None takes the model's own.
        exporter: Who exports; None takes the installed one.

    Returns:
        What was published.

    Raises:
        SearchError: The folder holds no model, or nobody exports.
        ZooError: The model cannot be exported; the message says why.
    """
    run = Path(run_folder).absolute()
    if not is_bundle(run):
        raise SearchError(f"{run} holds no model that can be exported. A trial that failed has none, and of a "
                          "hypermodel's only what zoo.build made; open others with KerasTuner's "
                          "tuner.get_best_models() and give them to zoo.adopt and serving.export.export_model.")
    export = exporter or installed_exporter()
    record_search(run)
    path = Path(export(run, Path(root), name=name))
    return Published(name=path.parent.name, version=int(path.name), path=path)


def record_search(run: Path) -> None:
    """Writes into a trial's saved model which search found it; nothing for a run that is part of none.

    Args:
        run: The run's folder.

    Raises:
        ZooError: The search or the model cannot be read.
    """
    folder = SearchFolder.at(run.parents[1])
    trial = run.parent.name.removeprefix("trial_")
    if not folder.config.is_file() or run.parent != folder.trial(trial):
        return
    view = read_search(folder)
    if trial in view.trials:
        model = load(run)
        record = record_of(model)
        training = {**record.training, "search": search_note(view, view.trials[trial])}
        if training != record.training:
            attach_record(model, record.replace(training=training))
            save(model, run)


def search_note(view: SearchView, trial: Trial) -> dict[str, Any]:
    """Returns what manifest and model card tell of a search, JSON-ready.

    Args:
        view: The search.
        trial: The trial that is handed over.
    """
    config = view.config
    front = [one.id for one in view.front]
    return {"folder": view.folder.path.name, "trial": trial.id, "values": trial.searched,
            "objectives": [str(objective) for objective in config.objectives],
            "constraints": [str(constraint) for constraint in config.constraints],
            "measures": dict(trial.measures), "spread": dict(trial.spread), "oracle": config.oracle,
            "stopper": config.stopper, "seed": config.seed, "trials": len(view.trials),
            "best": view.best is not None and view.best.id == trial.id, "on_front": trial.id in front}


def installed_exporter() -> Exporter:
    """Returns the exporter that an installed package offers.

    Raises:
        SearchError: None does, or it cannot be loaded.
    """
    found = sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name)
    if not found:
        raise SearchError(f"No installed package exports models (entry points of the group {ENTRY_POINT_GROUP!r}). "
                          "Install this package again: pip install servable-zoo")
    try:
        exporter: Exporter = found[0].load()
    except Exception as error:
        raise SearchError(f"The exporter {found[0].name!r} ({found[0].value}) cannot be loaded: {error}") from error
    return exporter
