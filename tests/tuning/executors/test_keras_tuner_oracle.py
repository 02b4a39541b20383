"""Scripts with a plain KerasTuner tuner work for the chief, unchanged."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from keras_tuner.src.engine.trial import TrialStatus

from tests.tuning.executors.chief_search import address_in
from tests.tuning.oracles.simulation import Simulation, config_of
from tuning.executors.keras_tuner_chief import KerasTunerEngine
from tuning.executors.keras_tuner_desk import Desk
from tuning.executors.keras_tuner_environment import MeetingPlace
from tuning.executors.keras_tuner_oracle import OracleService, best_trials
from tuning.executors.keras_tuner_roster import Roster
from tuning.executors.keras_tuner_service import Calls
from tuning.folder import SearchFolder
from tuning.study.study import Study

SCRIPT = """
import sys
from pathlib import Path

import keras
import keras_tuner
import numpy as np


def build(hp):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(hp.Int("units", 2, 32)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(hp.Float("rate", 1e-4, 1e-1, sampling="log")), "mse")
    return model


folder = Path(sys.argv[1])
tuner = keras_tuner.RandomSearch(build, objective="val_loss", max_trials=1, directory=folder.parent,
                                 project_name=folder.name)
values = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
tuner.search(values, values.sum(axis=1), validation_data=(values, values.sum(axis=1)), epochs=1, verbose=0)
"""


def declare(hp):
    """The space of the script's model."""
    hp.Int("units", 2, 32)
    hp.Float("rate", 1e-4, 1e-1, sampling="log")


def test_a_users_script_works_for_the_chief(tmp_path):
    """With KerasTuner's three variables set, its tuner gets its trials from the study, and ends with the search."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    folder = SearchFolder.at(tmp_path / "search")
    started = []

    def listen(event):
        if address := address_in(event):
            host, _, port = address.rpartition(":")
            started.append(subprocess.Popen(
                [sys.executable, str(script), str(folder.path)],
                env={**os.environ, "KERASTUNER_ORACLE_IP": host, "KERASTUNER_ORACLE_PORT": port,
                     "KERASTUNER_TUNER_ID": "tuner0", "TF_CPP_MIN_LOG_LEVEL": "3"},
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))

    config = config_of("random", trials=3, epochs=1)
    with Study.open(folder, config, declare=lambda _: declare, listener=listen) as study:
        try:
            KerasTunerEngine("127.0.0.1:0", local=False, alone_s=300.0).run(study)
            _, errors = started[0].communicate(timeout=120)
        finally:
            started[0].kill()
        assert [trial.status for trial in study.trials.values()] == ["completed"] * 3, errors
        assert all(trial.measures["val_loss"] > 0 for trial in study.trials.values())
        assert started[0].returncode == 0, errors
        assert (folder.trial("0000") / "checkpoint.weights.h5").exists()


@pytest.fixture
def service(tmp_path):
    with Study.open(SearchFolder.at(tmp_path), config_of("random", trials=2, retries=1),
                    declare=lambda _: declare) as study:
        place = MeetingPlace(study.folder)
        place.prepare()
        calls = Calls()
        yield SimpleNamespace(oracle=OracleService(calls, Desk(study, Roster(place, 60.0)), study), calls=calls,
                              study=study)


def said(service, method, **fields):
    """Calls a method as gRPC would, from another thread, while this one serves."""
    answers = []
    context = SimpleNamespace(is_active=lambda: False)
    asker = threading.Thread(target=lambda: answers.append(
        getattr(service.oracle, method)(SimpleNamespace(**fields), context)))
    asker.start()
    while asker.is_alive():
        service.calls.serve(0.02)
    return answers[0]


def test_a_trial_that_kerastuner_calls_invalid_is_tried_again(service):
    """INVALID is retried as the study retries crashes, FAILED is not; the space is the whole one."""
    assert len(said(service, "GetSpace").hyperparameters.space.float_space) == 1
    trial = said(service, "CreateTrial", tuner_id="t").trial
    assert trial.trial_id == "0000"
    trial.status = TrialStatus.to_proto("INVALID")
    said(service, "EndTrial", trial=trial)
    again = said(service, "CreateTrial", tuner_id="t").trial
    assert again.trial_id == "0000"
    again.status = TrialStatus.to_proto("FAILED")
    said(service, "EndTrial", trial=again)
    failed = service.study.trials["0000"]
    assert (failed.status, failed.kind, failed.attempts) == ("failed", "error", 2)


def test_a_worker_waits_while_others_run_the_last_trials_and_then_ends(service):
    """IDLE as long as something may come back, STOPPED once all have ended."""
    trials = [said(service, "CreateTrial", tuner_id=name).trial for name in ("a", "b")]
    assert TrialStatus.from_proto(said(service, "CreateTrial", tuner_id="c").trial.status) == "IDLE"
    for trial in trials:
        said(service, "UpdateTrial", trial_id=trial.trial_id, metrics={"val_loss": 0.5}, step=0)
        trial.status = TrialStatus.to_proto("COMPLETED")
        said(service, "EndTrial", trial=trial)
    assert TrialStatus.from_proto(said(service, "CreateTrial", tuner_id="c").trial.status) == "STOPPED"
    assert [trial.measures for trial in service.study.trials.values()] == [{"val_loss": 0.5}] * 2
    assert len(said(service, "GetBestTrials", num_trials=5).trials) == 2
    assert said(service, "GetTrial", trial_id="0001").trial.metrics.metrics["val_loss"].observations[0].value == [0.5]


def test_best_trials_are_those_of_kerastuners_files(tmp_path):
    """Sorted by score in the objective's direction, completed ones only."""
    search = Simulation(config_of("random"), tmp_path)
    search.run(6)
    losses = sorted(trial.measures["val_loss"] for trial in search.trials.values() if trial.has_ended)
    folder = SearchFolder.at(tmp_path)
    assert [trial.score for trial in best_trials(folder, 3, "min")] == losses[:3]
    assert [trial.score for trial in best_trials(folder, 2, "max")] == losses[::-1][:2]
