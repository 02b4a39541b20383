"""`zoo prune`: a trained model without its least important parts, recovered on its data, as a run of its own.

    <folder>/                what every run has: the model, run.json, checkpoints of the last recovery
    <folder>/rounds/<i>/     checkpoints of the recoveries before, with several rounds
    <folder>/pruning.json    what was removed, and the measures before, after the cut and after the recovery
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from zoo.bundle import load, save
from zoo.bundle_index import INDEX_NAME
from zoo.compression.cost import Cost, cost_of
from zoo.compression.magnitude_pruning import MagnitudePruning
from zoo.compression.pruning import METHODS, Pruned, prune
from zoo.data.labelled import LabelledData
from zoo.data_source import DataSource
from zoo.errors import ArgumentError
from zoo.evaluation import evaluate
from zoo.retraining import gentle_config
from zoo.run_folder import check_folder, read_source
from zoo.runs import RunResult, open_data, trained
from zoo.spec import ModelRecord, attach_record, record_of
from zoo.teaching import teacher_in
from zoo.training import Progress, TrainingConfig, fit

ROUNDS = "rounds"
PRUNING_FILE = "pruning.json"
EPOCHS = 3
# Of the run's own learning rate: what is left has to learn more than a model that only changes a little.
RATE = 0.3


@dataclass(frozen=True, kw_only=True)
class PruningPlan:
    """What to remove, and how.

    Attributes:
        method: One of `zoo.compression.pruning.METHODS`, or filters, units and heads joined by "+".
        fraction: Which part goes, in (0, 1).
        pattern: For "magnitude" in place of `fraction`: "N:M", such as "2:4".
        criterion: What decides; see `zoo.compression.prune`.
        scope: "group" (that part of every group of layers, or every kernel) or "model" (of all together).
        multiple: Filters and units are left in multiples of this; None for 8, and 1 for heads.
        rounds: How often a part is cut and what is left trained, until `fraction` is gone. Magnitude pruning has a
            schedule of its own within one.
    """

    method: str
    fraction: float | None = None
    pattern: str | None = None
    criterion: str | None = None
    scope: str = "group"
    multiple: int | None = None
    rounds: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.rounds, bool) or not isinstance(self.rounds, int) or self.rounds < 1:
            raise ArgumentError(f"`rounds` must be a whole number of at least 1. Received: {self.rounds!r}")
        if self.rounds > 1 and self.method == "magnitude":
            raise ArgumentError("Magnitude pruning goes on step by step within one training. Leave `rounds` out and "
                                "give more `epochs`.")

    @property
    def per_round(self) -> float | None:
        """Which part of what is left goes in each round."""
        return None if self.fraction is None else 1.0 - (1.0 - self.fraction) ** (1.0 / self.rounds)


@dataclass(frozen=True, kw_only=True)
class PrunedRun:
    """What `prune_run` leaves.

    Attributes:
        folder: The new run's folder.
        model: The pruned model.
        before: What it cost before.
        after: What it costs now.
        part: The part of the data that was measured: "test", "validation", or "" for none.
        measures: By "before", "cut" (before any recovery) and "after": the measures of the task.
        result: The last training; None without one.
    """

    folder: Path
    model: keras.Model
    before: Cost
    after: Cost
    part: str
    measures: Mapping[str, Mapping[str, float | None]]
    result: RunResult | None


def prune_run(start: str | os.PathLike[str], folder: str | os.PathLike[str], plan: PruningPlan, *,
              source: DataSource | None = None, config: TrainingConfig | None = None, recover: bool = True,
              teacher: str | os.PathLike[str] | None = None, teacher_settings: Mapping[str, Any] | None = None,
              restart: bool = False, progress: Progress | None = None, announce: Any = None) -> PrunedRun:
    """Prunes a saved model and trains what is left; the model that it began with stays as it is.

    The same call after a crash goes on where it was.

    Args:
        start: The folder of a run, or any that `zoo.save` wrote.
        folder: The new run's folder.
        plan: What to remove.
        source: The examples; None takes those that the run was trained on, split alike.
        config: How to train what is left; None takes `recovery_config`.
        recover: Whether to train at all.
        teacher: Folder of a model to learn from besides, such as `start` itself; None for none.
        teacher_settings: Settings of `zoo.compression.distillation.Distillation`.
        restart: Whether to start afresh in a folder that holds another run.
        progress: Called with the events of the trainings.
        announce: Called with the data before anything is removed.

    Returns:
        The pruned model and what it is worth.

    Raises:
        ZooError: What was given cannot be used; the message says what to do.
    """
    folder = Path(folder)
    model = load(start)
    record = record_of(model)
    record = record.replace(weights={**record.weights, "trained_from": saved_parameters(start)})
    attach_record(model, record)
    source = read_source(Path(start)) if source is None else source
    if not (folder / ROUNDS).is_dir():
        check_folder(folder, source)
    elif restart:
        shutil.rmtree(folder / ROUNDS)
    data = open_data(source, record, record.preprocessing, record.labels or None)
    if announce is not None:
        announce(data)
    part, split = next(((name, found) for name in ("test", "validation") if (found := getattr(data, name))), ("", None))
    judge = _Judge(record, split)
    before, measures = cost_of(model), {"before": judge.measures(model)}
    techniques = [] if teacher is None else [teacher_in(teacher, **(teacher_settings or {}))]
    config = config or recovery_config(record)
    result = None
    if plan.method == "magnitude" and recover:
        technique = MagnitudePruning(fraction=plan.fraction, pattern=plan.pattern,
                                     scope="model" if plan.scope == "model" else "kernel")
        measures["cut"] = judge.measures(_cut(model, plan, data).model)
        result = trained(_forgetting(model), data, source, folder, config, progress=progress, restart=restart,
                         techniques=[technique, *techniques])
    else:
        for number in range(1, plan.rounds + 1):
            pruned = _cut(model, plan, data)
            model = pruned.model
            if number == plan.rounds:
                measures["cut"] = judge.measures(model)
            if recover and number < plan.rounds:
                fit(model, data, config, folder / ROUNDS / str(number), progress=progress, restart=restart,
                    techniques=techniques)
            elif recover:
                result = trained(model, data, source, folder, config, progress=progress, restart=restart,
                                 techniques=techniques)
        if not recover:
            save(model, folder)
    if result is not None:
        measures["after"] = judge.measures(model)
        if measures["after"]:
            known = record_of(model)
            attach_record(model, known.replace(metrics={**known.metrics, part: {
                "examples": split.count, "data": data.fingerprint, **measures["after"]}}))  # type: ignore[union-attr]
            save(model, folder)
    run = PrunedRun(folder=folder, model=model, before=before, after=cost_of(model), part=part,
                    measures=measures, result=result)
    _write(run, start, plan)
    return run


def recovery_config(record: ModelRecord, **changes: Any) -> TrainingConfig:
    """Returns the training with which a pruned model recovers: as it was trained, 3 epochs, a third of the rate.

    Args:
        record: The trained model's.
        **changes: Fields of `TrainingConfig` that win.

    Returns:
        The configuration.

    Raises:
        ArgumentError: A field is unknown or out of its range.
    """
    rate = record.training.get("config", {}).get("learning_rate", TrainingConfig().learning_rate) * RATE
    return gentle_config(record, **{"epochs": EPOCHS, "learning_rate": rate, "frozen_layers": None, **changes})


def saved_parameters(start: str | os.PathLike[str]) -> str:
    """Returns the sha256 of a saved model's parameters."""
    index: dict[str, Any] = json.loads((Path(start) / INDEX_NAME).read_text())
    return str(index["files"]["weights"]["sha256"])


def _cut(model: keras.Model, plan: PruningPlan, data: LabelledData) -> Pruned:
    return prune(model, method=plan.method, fraction=plan.per_round, pattern=plan.pattern, criterion=plan.criterion,
                 data=data, scope=plan.scope, multiple=plan.multiple)


def _forgetting(model: keras.Model) -> keras.Model:
    """A model of other measures: those of the one that it comes from are not its own."""
    attach_record(model, record_of(model).replace(metrics={}))
    return model


@dataclass(frozen=True)
class _Judge:
    """Measures models on the part of the data that was held out."""

    record: ModelRecord
    split: Any

    def measures(self, model: keras.Model) -> dict[str, float | None]:
        if self.split is None:
            return {}
        return dict(evaluate(model, self.split, labels=self.record.labels, task=self.record.task, bootstrap_samples=0,
                             mistakes=0).values)


def _write(run: PrunedRun, start: str | os.PathLike[str], plan: PruningPlan) -> None:
    report = {"from": os.fspath(start), "plan": {name: getattr(plan, name) for name in plan.__dataclass_fields__},
              "cost": {"before": run.before.to_dict(), "after": run.after.to_dict()}, "part": run.part,
              "measures": {name: dict(values) for name, values in run.measures.items()}}
    path = run.folder / PRUNING_FILE
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(report, indent=1) + "\n")
    temporary.replace(path)


__all__ = ["METHODS", "PRUNING_FILE", "PrunedRun", "PruningPlan", "prune_run", "recovery_config"]
