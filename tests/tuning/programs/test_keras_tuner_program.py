"""Trials of KerasTuner hypermodels: used as they are, saved and told epoch by epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import pytest

import zoo
from tests.tuning.programs import hypermodels_for_tests as given
from tests.tuning.programs.in_memory import MemoryContext, task
from tuning.config import SearchConfig
from tuning.objectives import Constraint, Objective
from tuning.programs.running import run_task
from tuning.trial import TrialOutcome

FILE = str(given.__file__)
VALUES = {"units": 5, "optimizer": "adam"}


def search(name: str, *, objectives: tuple[str, ...] = ("val_loss",), **changes: Any) -> dict[str, Any]:
    return SearchConfig(**{"hypermodel": f"{FILE}:{name}", "data_function": f"{FILE}:data",
                           "objectives": tuple(map(Objective.parse, objectives)), "epochs": 4, **changes}).to_dict()


def history(context: MemoryContext) -> list[dict[str, float]]:
    return [dict(report.values) for report in context.reports]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[MemoryContext, TrialOutcome]:
    """A trial of a build function, from the first epoch to the last."""
    context = MemoryContext(tmp_path_factory.mktemp("searches") / "whole", task(values=VALUES))
    return context, run_task(search("build"), context)


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning")  # KerasTuner's own noise
def test_a_build_function_and_plain_keras_tuner_agree(whole: tuple[MemoryContext, TrialOutcome]) -> None:
    """Every epoch is told; the best weights lie where KerasTuner's tuners look, and they open them."""
    context, outcome = whole
    folder = context.folder.path
    assert outcome.status == "completed", outcome.error
    assert [report.epoch for report in context.reports] == [1, 2, 3, 4]
    assert set(history(context)[0]) == {"loss", "mae", "val_loss", "val_mae"}
    best = min(history(context), key=lambda row: row["val_loss"])
    assert outcome.executions == (best,)

    tuner = keras_tuner.RandomSearch(given.build, "val_loss", max_trials=1, directory=str(folder.parent),
                                     project_name=folder.name)
    hp = keras_tuner.HyperParameters()
    hp.values = dict(VALUES)
    model = tuner.load_model(keras_tuner.engine.trial.Trial(hp, trial_id="0000"))
    x, y = given.data()["validation_data"]
    loss = float(np.mean((np.asarray(model(x))[:, 0] - y) ** 2))
    assert loss == pytest.approx(best["val_loss"], rel=1e-5)


def test_a_killed_trial_goes_on_with_its_optimizer(whole: tuple[MemoryContext, TrialOutcome], tmp_path: Path) -> None:
    """The second attempt trains what is left, from the last saved epoch, and tells again what may have got lost."""

    class Killed(BaseException):
        """Stands for kill -9."""

    class Dying(MemoryContext):
        def report(self, report: Any) -> bool:
            super().report(report)
            if report.epoch == 2:
                raise Killed
            return True

    first = Dying(tmp_path, task(values=VALUES))
    with pytest.raises(Killed):
        run_task(search("build"), first)
    state = json.loads((tmp_path / "trial_0000" / "execution0" / "epochs.json").read_text())
    assert len(state["rows"]) == 2
    (tmp_path / "trial_0000" / "execution0" / f".{state['weights']}.partial").write_bytes(b"half")
    again = MemoryContext(tmp_path, task(values=VALUES))
    outcome = run_task(search("build"), again)
    assert [report.epoch for report in again.reports] == [1, 2, 3, 4]
    assert history(again)[:2] == history(first) == history(whole[0])[:2]  # one seed, one beginning
    assert history(again)[2]["val_loss"] < history(first)[1]["val_loss"]
    assert outcome.executions == (min(history(again), key=lambda row: row["val_loss"]),)
    saved = sorted(path.name for path in (tmp_path / "trial_0000" / "execution0").glob("epoch-*"))
    assert saved == ["epoch-00004.safetensors"]
    third = MemoryContext(tmp_path, task(values=VALUES))
    assert run_task(search("build"), third).executions == outcome.executions  # nothing is trained any more
    assert history(third) == history(again)


def test_hyperband_goes_on_from_the_parent(tmp_path: Path) -> None:
    """A promoted trial begins at the parent's last epoch and tells its own alone; the parent's folder stays."""
    low = MemoryContext(tmp_path, task("0000", values=VALUES, until_epoch=2))
    assert run_task(search("build"), low).status == "completed"
    assert [report.epoch for report in low.reports] == [1, 2]
    before = {path.name: path.read_bytes() for path in (tmp_path / "trial_0000" / "execution0").iterdir()}
    high = MemoryContext(tmp_path, task("0001", values=VALUES, parent="0000"))
    outcome = run_task(search("build"), high)
    assert [report.epoch for report in high.reports] == [3, 4]
    rows = json.loads((tmp_path / "trial_0001" / "execution0" / "epochs.json").read_text())["rows"]
    assert rows == history(low) + history(high)
    assert outcome.executions == (min(rows, key=lambda row: row["val_loss"]),)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "trial_0000" / "execution0").iterdir()}


def test_a_fit_of_their_own_is_honoured(tmp_path: Path) -> None:
    """A HyperModel chooses the batch size in `fit` and may set its own epochs; the study can stop it."""
    context = MemoryContext(tmp_path, task(values=VALUES | {"batch_size": 32}, executions=2))
    outcome = run_task(search("WithFit"), context)
    assert outcome.status == "completed", outcome.error
    assert context.epochs == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert outcome.executions[0] != outcome.executions[1]
    stopped = MemoryContext(tmp_path, task("0001", values=VALUES), stop_after=1)
    outcome = run_task(search("ready"), stopped)
    assert (outcome.status, stopped.epochs) == ("stopped", [(0, 1)])
    assert outcome.executions == (history(stopped)[0],)
    again = MemoryContext(tmp_path, task("0001", values=VALUES), stop_after=1)
    assert run_task(search("ready"), again).status == "stopped"
    assert again.epochs == [(0, 1)]


def test_a_loop_of_their_own_returns_a_number(tmp_path: Path) -> None:
    """The number is the objective; what the callbacks were told belongs to it."""
    context = MemoryContext(tmp_path, task(values={"rate": 0.01}))
    outcome = run_task(search("OwnLoop", objectives=("min:my_loss",)), context)
    assert outcome.status == "completed", outcome.error
    assert context.epochs == [(0, 1), (0, 2), (0, 3)]
    assert outcome.executions[0]["my_loss"] == history(context)[-1]["my_loss"]
    assert (tmp_path / "trial_0000" / "checkpoint.weights.h5").is_file()
    nothing = run_task(search("NoMeasures"), MemoryContext(tmp_path, task("0001")))
    assert nothing.error.startswith("HyperModel.fit must return what model.fit returned, a dict of measures or a nu")


def test_speed_and_size_of_any_keras_model(tmp_path: Path) -> None:
    """A model without a record is measured as tensors in, tensors out; a bound ends the trial before it is trained."""
    context = MemoryContext(tmp_path, task(values={"rate": 0.01}))
    config = search("OwnLoop", objectives=("min:my_loss", "parameters"))
    assert run_task(config, context).executions[0]["parameters"] == 4
    bounded = search("OwnLoop", objectives=("min:my_loss",), constraints=(Constraint.parse("parameters<=3"),))
    refused = MemoryContext(tmp_path, task("0001"))
    assert run_task(bounded, refused).status == "infeasible" and refused.reports == []


def test_a_model_of_the_zoo_can_be_handed_over(whole: tuple[MemoryContext, TrialOutcome], tmp_path: Path) -> None:
    """What zoo.build made inside of a hypermodel is saved with its best parameters, so that it can be exported."""
    context = MemoryContext(tmp_path, task(values={"rate": 0.1}))
    outcome = run_task(search("zoo_model"), context)
    assert outcome.status == "completed", outcome.error
    model = zoo.load(context.folder.execution("0000"))
    x, y = given.data()["validation_data"]
    loss = float(np.mean((np.asarray(model(x))[:, 0] - y) ** 2))
    assert loss == pytest.approx(outcome.executions[0]["val_loss"], rel=1e-4)
    assert not (whole[0].folder.execution("0000") / "bundle.json").exists()


@pytest.mark.parametrize(("name", "words"), [
    ("no_model", "build(hp) must return a keras.Model. It returned str."),
    ("fails", "RuntimeError: out of ideas (hypermodels_for_tests.py, line"),
    ("number", ":number must be a keras_tuner.HyperModel or a function build(hp). It is int."),
    ("NeedsArguments", "needs arguments (missing a required argument: 'width'). Name an object of it instead"),
])
def test_what_is_no_hypermodel(name: str, words: str, tmp_path: Path) -> None:
    """The trial fails in words that say what is expected."""
    outcome = run_task(search(name), MemoryContext(tmp_path, task()))
    assert (outcome.status, outcome.kind) == ("failed", "error") and words in outcome.error


def test_seeds_decide_the_numbers(whole: tuple[MemoryContext, TrialOutcome], tmp_path: Path) -> None:
    """Another seed gives another first epoch."""
    context = MemoryContext(tmp_path, task(values=VALUES, seed=4, epochs=1))
    assert run_task(search("build", epochs=1), context).status == "completed"
    assert context.reports[0].values["loss"] != whole[0].reports[0].values["loss"]
