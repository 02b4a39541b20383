"""A search that plain KerasTuner began goes on here."""

from __future__ import annotations

import json
import shutil

import keras
import keras_tuner
import numpy as np
import pytest

from tests.tuning.oracles.simulation import config_of
from tuning.errors import StoreError
from tuning.folder import SearchFolder
from tuning.oracles.adoption import adopted_trials
from tuning.spaces.dimension import Dimension
from tuning.spaces.space import SearchSpace
from tuning.study.study import Study
from tuning.trial import TrialOutcome


class PowerCut(BaseException):
    """Ends KerasTuner's process as nothing that it catches would."""


def build(hp):
    """Two hyperparameters and a model that trains in no time."""
    units = hp.Int("units", 2, 32)
    rate = hp.Float("rate", 1e-4, 1e-1, sampling="log")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model


def declare(hp):
    """The space of `build`."""
    hp.Int("units", 2, 32)
    hp.Float("rate", 1e-4, 1e-1, sampling="log")


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A real search of KerasTuner's: two trials ended, the third under way when the power failed."""
    parent = tmp_path_factory.mktemp("plain")
    values = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
    tuner = keras_tuner.RandomSearch(build, objective="val_loss", max_trials=6, seed=7, directory=parent,
                                     project_name="begun")
    original = tuner.on_trial_begin

    def cut(trial):
        original(trial)
        if trial.trial_id == "2":
            raise PowerCut

    tuner.on_trial_begin = cut
    with pytest.raises(PowerCut):
        tuner.search(values, values.sum(axis=1), validation_data=(values, values.sum(axis=1)), epochs=2, verbose=0)
    return parent / "begun", tuner


@pytest.fixture
def folder(begun, tmp_path):
    """A copy of its folder."""
    return SearchFolder.at(shutil.copytree(begun[0], tmp_path / "begun"))


def test_finished_trials_are_kept_and_the_open_one_is_run_first(folder, begun, tmp_path):
    """Nothing finished is repeated, the broken-off trial comes next, and then what KerasTuner would have proposed."""
    theirs = begun[1].oracle
    with Study.open(folder, config_of("random"), declare=lambda _: declare) as study:
        kept = {trial.id: trial for trial in study.trials.values() if trial.has_ended}
        assert set(kept) == {"0", "1"}
        for name, trial in kept.items():
            assert trial.measures["val_loss"] == theirs.trials[name].score
            assert trial.values == theirs.trials[name].hyperparameters.values
        again = study.ask()
        assert again is not None
        assert (again.trial, dict(again.values)) == ("2", theirs.trials["2"].hyperparameters.values)
        study.tell("2", TrialOutcome(status="completed", executions=({"val_loss": 1e-9},)))
        following = study.ask()
        assert following is not None
        shutil.copytree(begun[0], tmp_path / "theirs")
        plain = keras_tuner.RandomSearch(build, objective="val_loss", max_trials=6, directory=tmp_path,
                                         project_name="theirs")
        plain.oracle._retry_queue.clear()
        assert dict(following.values) == plain.oracle.create_trial("tuner0").hyperparameters.values
        best = study.best()
        assert best is not None
        assert best.id == "2"


def test_the_search_that_went_on_is_still_kerastuners(folder, capsys):
    """After going on here, plain KerasTuner reloads the folder with old and new trials."""
    with Study.open(folder, config_of("random"), declare=lambda _: declare) as study:
        for loss in (0.5, 0.0):
            task = study.ask()
            assert task is not None
            study.tell(task.trial, TrialOutcome(status="completed", executions=({"val_loss": loss},)))
    tuner = keras_tuner.RandomSearch(build, objective="val_loss", max_trials=6, directory=folder.path.parent,
                                     project_name=folder.path.name)
    assert set(tuner.oracle.trials) == {"0", "1", "2", "0003"}
    assert tuner.oracle.get_best_trials(1)[0].trial_id == "0003"
    assert "Reloading Tuner" in capsys.readouterr().out


def test_a_bayesian_search_learns_from_what_random_search_found(folder):
    """The oracle may change where the search goes on: the trials are known to it."""
    config = config_of("bayesian", oracle_options={"num_initial_points": 2})
    with Study.open(folder, config, declare=lambda _: declare) as study:
        assert study.ask() is not None
        guided = study.ask()
        assert guided is not None
        assert guided.trial == "0003"


@pytest.mark.parametrize(("changes", "words"), [
    ({"objectives": config_of("random", "val_accuracy").objectives},
     "trial 0 has no value of val_accuracy.*it has loss, val_loss.*Name one of these"),
    ({"oracle": "hyperband"}, "is not Hyperband's"),
    ({"hypermodel": "", "model": "mlp_binary", "space": SearchSpace(
        (Dimension.parse("batch_size", "{16,32}"),)).to_dict()}, "it has rate, units.*it lacks batch_size"),
])
def test_another_search_is_refused_with_what_differs(folder, changes, words):
    """What KerasTuner's trials do not have, the refusal names."""
    config = config_of("random").replace(**changes)
    with pytest.raises(StoreError, match=words):
        adopted_trials(folder, config)


def test_another_hyperband_is_refused(folder):
    """Trials of other rounds would be promoted at other epochs."""
    state = json.loads((folder.path / "oracle.json").read_text())
    state |= {"brackets": [], "max_epochs": 27, "factor": 3}
    (folder.path / "oracle.json").write_text(json.dumps(state))
    with pytest.raises(StoreError, match="max_epochs=27, and this one 9"):
        adopted_trials(folder, config_of("hyperband"))
    with pytest.raises(StoreError, match="is Hyperband's, and this one's oracle is random"):
        adopted_trials(folder, config_of("random"))


def test_damaged_files_are_refused_by_name(folder):
    """A torn trial.json or oracle.json is named; nothing is guessed and nothing overwritten."""
    (folder.path / "trial_1" / "trial.json").write_text('{"status"')
    with pytest.raises(StoreError, match=r"trial_1.trial\.json is missing or cannot be read"):
        adopted_trials(folder, config_of("random"))
    (folder.path / "trial_1" / "trial.json").write_text('{"status": "COMPLETED"}')
    with pytest.raises(StoreError, match=r"trial_1.trial\.json is no trial of KerasTuner"):
        adopted_trials(folder, config_of("random"))
    (folder.path / "oracle.json").write_text("")
    with pytest.raises(StoreError, match=r"oracle\.json cannot be read"):
        adopted_trials(folder, config_of("random"))


def test_a_failed_trial_stays_failed_with_its_last_line(folder):
    """KerasTuner keeps a whole traceback; the error is its last line."""
    path = folder.path / "trial_0" / "trial.json"
    state = json.loads(path.read_text())
    state |= {"status": "FAILED", "message": "Traceback:\n  File x\nValueError: too big\n"}
    path.write_text(json.dumps(state))
    failed = adopted_trials(folder, config_of("random"))[0]
    assert (failed.status, failed.error, failed.kind) == ("failed", "ValueError: too big", "error")
