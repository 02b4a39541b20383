"""A trial of a registered model is a run of `zoo train`, epoch by epoch in the study's hands."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

import zoo
from tests.tuning.programs.in_memory import MemoryContext, points, search, task
from tuning.config import SearchConfig
from tuning.programs.running import run_task
from tuning.programs.zoo_program import ZooProgram
from tuning.trial import TrialOutcome
from zoo.data_source import DataSource
from zoo.errors import ArgumentError
from zoo.runs import train
from zoo.training import TrainingConfig

VALUES = {"learning_rate": 0.05, "tuner/epochs": 4}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    return points(tmp_path_factory.mktemp("points"))


@pytest.fixture(scope="module")
def whole(data: DataSource, tmp_path_factory: pytest.TempPathFactory) -> tuple[MemoryContext, TrialOutcome]:
    """A trial of four epochs."""
    context = MemoryContext(tmp_path_factory.mktemp("search"), task(values=VALUES, seed=5))
    return context, run_task(config(data).to_dict(), context)


def config(data: DataSource) -> SearchConfig:
    return search(data, training={"schedule": "cosine", "batch_size": 16}, build={"dropout": 0.2})


def parameters(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(weight) for weight in model.weights]


def test_a_trial_is_the_run_that_its_arguments_make(whole: tuple[MemoryContext, TrialOutcome], data: DataSource,
                                                    tmp_path: Path) -> None:
    """The same arguments by hand give the same history, the same parameters and the same run folder."""
    context, outcome = whole
    by_hand = train("mlp_binary", data, tmp_path / "r", TrainingConfig(
        epochs=4, seed=5, learning_rate=0.05, schedule="cosine", batch_size=16, monitor="val_loss"),
        build={"dropout": 0.2})
    folder = context.folder.execution("0000")
    for left, right in zip(parameters(zoo.load(folder)), parameters(by_hand.model), strict=True):
        np.testing.assert_array_equal(left, right)
    measures = [{key: value for key, value in row.items() if key not in ("epoch", "learning_rate")}
                for row in by_hand.report.history]
    assert [dict(report.values) for report in context.reports] == measures
    assert outcome.status == "completed" and outcome.seconds > 0
    assert outcome.executions == (measures[by_hand.report.best_epoch - 1],)


def test_the_search_stands_in_the_saved_record(whole: tuple[MemoryContext, TrialOutcome]) -> None:
    """Whoever finds the run's folder alone knows which trial of which search it is."""
    context, _ = whole
    note = zoo.record_of(zoo.load(context.folder.execution("0000"))).training["search"]
    assert note["trial"] == "0000" and note["folder"] == context.folder.path.name
    assert note["values"] == {"learning_rate": 0.05} and note["objectives"] == ["min:val_loss"]


def test_a_second_attempt_goes_on_and_tells_the_last_epoch_again(whole: tuple[MemoryContext, TrialOutcome],
                                                                 data: DataSource, tmp_path: Path) -> None:
    """After a crash behind epoch 2 the rest is trained, with the numbers of a trial that never crashed."""

    class Crash(BaseException):
        """Stands for kill -9: nothing catches it."""

    class Crashing(MemoryContext):
        def report(self, report: object) -> bool:
            if len(self.reports) == 1:
                raise Crash
            return super().report(report)  # type: ignore[arg-type]

    order = task(values=VALUES, seed=5)
    first = Crashing(tmp_path, order)
    with pytest.raises(Crash):
        run_task(config(data).to_dict(), first)
    again = MemoryContext(tmp_path, order)
    outcome = run_task(config(data).to_dict(), again)
    assert first.epochs == [(0, 1)] and again.epochs == [(0, 2), (0, 3), (0, 4)]  # epoch 2 was saved and not told
    assert outcome.executions == whole[1].executions
    third = MemoryContext(tmp_path, order)
    assert run_task(config(data).to_dict(), third).executions == whole[1].executions
    assert third.epochs == [(0, 1), (0, 2), (0, 3), (0, 4)]


def test_hyperband_goes_on_from_the_parent(whole: tuple[MemoryContext, TrialOutcome], data: DataSource,
                                           tmp_path: Path) -> None:
    """Two rungs end with the numbers of one whole training: parameters, optimizer, schedule and seed go along."""
    low = MemoryContext(tmp_path, task("0000", values=VALUES, seed=5, until_epoch=2))
    assert run_task(config(data).to_dict(), low).status == "completed"
    before = zoo.record_of(zoo.load(low.folder.execution("0000")))
    assert before.training["stopped"] == "paused" and before.training["epochs"] == 2
    high = MemoryContext(tmp_path, task("0001", values=VALUES, seed=77, parent="0000"))
    outcome = run_task(config(data).to_dict(), high)
    assert high.epochs == [(0, 3), (0, 4)]  # the parent's own are not told again
    assert outcome.executions == whole[1].executions
    assert [dict(r.values) for r in (*low.reports, *high.reports)] == [dict(r.values) for r in whole[0].reports]
    for left, right in zip(parameters(zoo.load(high.folder.execution("0001"))),
                           parameters(zoo.load(whole[0].folder.execution("0000"))), strict=True):
        np.testing.assert_array_equal(left, right)
    assert zoo.record_of(zoo.load(low.folder.execution("0000"))).training == before.training


def test_a_stopped_trial_leaves_a_usable_model(data: DataSource, tmp_path: Path) -> None:
    """Where the study says stop, the trial ends after that epoch, with its measures, and runs no more executions."""
    context = MemoryContext(tmp_path, task(values=VALUES, executions=3), stop_after=2)
    outcome = run_task(config(data).to_dict(), context)
    assert (outcome.status, context.epochs, len(outcome.executions)) == ("stopped", [(0, 1), (0, 2)], 1)
    model = zoo.load(context.folder.execution("0000"))
    assert zoo.record_of(model).labels == ("above", "below")


def test_executions_differ_by_their_seeds(data: DataSource, tmp_path: Path) -> None:
    """Each execution has a seed, a folder and measures of its own, all of the same examples."""
    context = MemoryContext(tmp_path, task(values=VALUES, executions=2, epochs=1, seed=5))
    outcome = run_task(config(data).to_dict(), context)
    assert context.epochs == [(0, 1), (1, 1)]
    assert outcome.executions[0] != outcome.executions[1]
    runs = [json.loads((context.folder.execution("0000", number) / "run.json").read_text()) for number in (0, 1)]
    assert [run["config"]["seed"] for run in runs] == [5, 6] and runs[0]["data"] == runs[1]["data"]


@pytest.mark.parametrize(("objective", "monitor"), [("val_auc", "val_auc"), ("min:parameters", "val_loss")])
def test_the_kept_epoch_is_the_best_by_the_objective(objective: str, monitor: str, data: DataSource,
                                                     tmp_path: Path) -> None:
    """The training keeps the epoch that the search looks for; where no training knows it, that of the lowest loss."""
    context = MemoryContext(tmp_path, task(values=VALUES, epochs=1), stop_after=1)
    outcome = run_task(search(data, objectives=(objective,)).to_dict(), context)
    assert outcome.status == "completed", outcome.error  # after the last epoch there is nothing left to stop
    run = json.loads((context.folder.execution("0000") / "run.json").read_text())
    assert run["config"]["monitor"] == monitor


def test_an_unknown_objective_ends_after_one_epoch(data: DataSource, tmp_path: Path) -> None:
    """A name that nobody measures is told with those that there are, before hours are spent."""
    context = MemoryContext(tmp_path, task(values=VALUES))
    outcome = run_task(search(data, objectives=("max:val_happiness",)).to_dict(), context)
    assert (outcome.status, outcome.kind, context.reports) == ("failed", "error", [])
    assert "The search is for val_happiness, which this trial does not measure. Measured: accuracy, auc, l" in (
        outcome.error)


def test_what_does_not_fit_is_a_failed_trial_and_no_crash(data: DataSource, tmp_path: Path) -> None:
    """A mistake in values or data is told in the outcome, in the words of the training."""
    wrong = run_task(search(data, training={"warmup_epochs": 9}).to_dict(), MemoryContext(tmp_path, task()))
    assert (wrong.status, wrong.kind) == ("failed", "error")
    assert wrong.error.startswith("`warmup_epochs` must be less than `epochs`.")
    gone = search(DataSource(path=str(tmp_path / "none.csv"), target=("side",)))
    assert "none.csv" in run_task(gone.to_dict(), MemoryContext(tmp_path, task())).error
    with pytest.raises(ArgumentError, match="A search for mlp_binary needs examples"):
        ZooProgram(search(data).replace(data=None))
