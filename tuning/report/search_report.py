"""The report of a search: everything that is known of it as data, tables, plots and TensorBoard's HParams."""

from __future__ import annotations

import json
import math
import os
import statistics
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tuning.config import SearchConfig
from tuning.report.axes import Axis, axes_of
from tuning.report.hparams import write_hparams
from tuning.report.importance import Importance, importance_of
from tuning.report.plots import PLOTS
from tuning.report.progress import Step, steps_of
from tuning.report.summary_text import markdown
from tuning.report.tables import epochs_csv, trials_csv
from tuning.spaces.space import SearchSpace
from tuning.study.pareto import measure_of
from tuning.study.state import SearchView
from tuning.trial import Trial

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class SearchReport:
    """What a search found, of a search that has ended or still runs.

    Attributes:
        config: What was searched.
        trials: All trials in the order in which they began.
        remarks: What the search noted on its way.
        running: Whether a process works on the search now.
        epochs: Epochs that were trained, over all trials.
        seconds: Wall-clock seconds that processes worked on the search.
        best: The best trial of those that met the constraints; None where there is none.
        front: The trials that no other beats in every objective; with one objective the best alone.
        steps: The ended trials in the order in which they ended, with the best result so far.
        axes: The hyperparameters that differ between trials.
        importance: How much each matters for the first objective.
    """

    config: SearchConfig
    trials: tuple[Trial, ...]
    remarks: tuple[str, ...]
    running: bool
    epochs: int
    seconds: float
    best: Trial | None
    front: tuple[Trial, ...]
    steps: tuple[Step, ...]
    axes: tuple[Axis, ...]
    importance: Importance

    @classmethod
    def of(cls, view: SearchView) -> SearchReport:
        """Looks at a search.

        Args:
            view: What `tuning.study.state.read_search` returns.

        Returns:
            The report; no file is written.
        """
        config, trials = view.config, tuple(view.trials.values())
        axes = axes_of(SearchSpace.from_dict(config.space).dimensions if config.space else (), trials)
        return cls(config=config, trials=trials, remarks=tuple(remark.text for remark in view.remarks),
                   running=view.alive, epochs=view.progress.epochs, seconds=view.progress.seconds, best=view.best,
                   front=view.front, axes=axes, steps=tuple(steps_of(view.trials, config)),
                   importance=_importance(config, trials, axes))

    @property
    def statuses(self) -> dict[str, int]:
        """How many trials ended in which way, the most frequent first."""
        return dict(Counter(trial.status for trial in self.trials).most_common())

    @property
    def overhead_seconds(self) -> float | None:
        """Median seconds of an ended trial that were no training epoch; None where no trial tells."""
        rests = [trial.seconds - sum(report.seconds for report in trial.history) for trial in self.trials
                 if trial.has_ended and trial.history and all(report.seconds > 0 for report in trial.history)]
        return max(0.0, statistics.median(rests)) if rests else None

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as JSON-ready data."""
        return _json_object({
            "format": FORMAT, "kind": "tuning.report", "running": self.running, "config": self.config.to_dict(),
            "statuses": self.statuses, "epochs": self.epochs,
            "seconds": self.seconds, "overhead_seconds": self.overhead_seconds,
            "best": self.best.id if self.best else None, "front": [trial.id for trial in self.front],
            "trials": [_trial_dict(trial) for trial in self.trials], "steps": [step.to_dict() for step in self.steps],
            "importance": self.importance.to_dict(), "remarks": list(self.remarks)})

    def save(self, folder: str | os.PathLike[str]) -> tuple[Path, ...]:
        """Writes the report: report.json, report.md, trials.csv, epochs.csv, plots and TensorBoard's event files.

        Each file is put in its place whole, so that one who looks at an earlier report sees one or the other.

        Args:
            folder: Where to; it is made if needed.

        Returns:
            The files of the report, without those of TensorBoard, which lie in the folder "tensorboard" in it.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        drawn = [name for name, draw in PLOTS.items() if _replaced(target / name, partial(draw, self))]
        for name in set(PLOTS) - set(drawn):
            (target / name).unlink(missing_ok=True)  # of an earlier report
        texts = {"report.json": json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n",
                 "report.md": markdown(self, drawn), "trials.csv": trials_csv(self.trials, self.config),
                 "epochs.csv": epochs_csv(self.trials)}
        for name, text in texts.items():
            _replaced(target / name, partial(_write_text, text))
        write_hparams(target / "tensorboard", self.trials, self.axes, self.config)
        return tuple(target / name for name in (*texts, *drawn))


def _importance(config: SearchConfig, trials: tuple[Trial, ...], axes: tuple[Axis, ...]) -> Importance:
    objective = config.objectives[0]
    known = [trial for trial in trials if trial.has_ended and trial.status != "failed"
             and math.isfinite(measure_of(trial, objective))]
    places = np.array([[axis.unit(trial.values.get(axis.name)) for axis in axes] for trial in known])
    losses = np.array([objective.loss(measure_of(trial, objective)) for trial in known])
    return importance_of(places, losses, [axis.name for axis in axes], seed=config.seed)


def _trial_dict(trial: Trial) -> dict[str, Any]:
    values = {name: getattr(trial, name) for name in (
        "id", "values", "status", "measures", "spread", "executions", "attempts", "error", "kind", "parent", "started",
        "ended", "seconds")}
    return values | {"history": [{"epoch": report.epoch, "execution": report.execution, "seconds": report.seconds,
                                  "values": report.values} for report in trial.history]}


def _json_object(values: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): _json_ready(value) for name, value in values.items()}


def _json_ready(value: Any) -> Any:
    """Makes any measure JSON: a number that is none or infinite becomes null."""
    if isinstance(value, Mapping):
        return _json_object(value)
    if isinstance(value, list | tuple):
        return [_json_ready(part) for part in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def _write_text(text: str, path: Path) -> bool:
    path.write_bytes(text.encode("utf-8"))
    return True


def _replaced(path: Path, write: Callable[[Path], bool]) -> bool:
    """Writes a file beside its place and puts it there, if there was anything to write."""
    staging = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.writing")
    try:
        if not write(staging):
            return False
        staging.replace(path)
        return True
    finally:
        staging.unlink(missing_ok=True)
