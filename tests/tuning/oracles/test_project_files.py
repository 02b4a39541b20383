"""A search's folder as KerasTuner reads it: its own tuners reload it, and the files stay in proportion."""

from __future__ import annotations

import json
import math

import keras
import keras_tuner
import pytest

from tests.tuning.oracles.simulation import Simulation, config_of, declare, measure
from tuning.folder import SearchFolder
from tuning.oracles.project_files import ProjectFiles, read_json

TUNERS = {"random": keras_tuner.RandomSearch, "grid": keras_tuner.GridSearch,
          "bayesian": keras_tuner.BayesianOptimization, "hyperband": keras_tuner.Hyperband}


def build(hp):
    """A hypermodel with the space of the simulated searches."""
    declare(hp)
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def failing(values):
    """Fails for a part of the space."""
    return None if values["units"] == 16 else measure(values)


@pytest.mark.parametrize("oracle", list(TUNERS))
def test_plain_kerastuner_reloads_the_search(oracle, tmp_path, capsys):
    """KerasTuner's own tuner finds every trial, ranks them as the study does, and would go on with the open ones."""
    search = Simulation(config_of(oracle), tmp_path / "search", measure=failing)
    search.run(14)
    search.driver.save(force=True)
    tuner = TUNERS[oracle](build, objective="val_loss", directory=tmp_path, project_name="search")
    tuner.reload()
    completed = sorted((trial for trial in search.trials.values() if trial.status == "completed"),
                       key=lambda trial: trial.measures["val_loss"])
    best = tuner.oracle.get_best_trials(len(completed))
    assert [trial.score for trial in best] == [trial.measures["val_loss"] for trial in completed]
    assert tuner.get_best_hyperparameters(1)[0].values == search.trials[best[0].trial_id].values
    assert set(tuner.oracle.trials) == set(search.trials)
    assert {trial.trial_id for trial in tuner.oracle.trials.values() if trial.status == "FAILED"} == {
        trial.id for trial in search.trials.values() if trial.status == "failed"}
    assert sorted(tuner.oracle._retry_queue) == sorted(search.running)
    assert best[0].metrics.get_best_value("latency_ms") == search.trials[best[0].trial_id].measures["latency_ms"]
    assert "Reloading Tuner" in capsys.readouterr().out


def test_several_objectives_are_kerastuners_sum_in_its_files(tmp_path, capsys):
    """Its readers rank by the signed sum that KerasTuner itself would have made; the study does not use it."""
    search = Simulation(config_of("random", "val_loss", "max:latency_ms"), tmp_path / "search")
    search.run(6)
    search.driver.save(force=True)
    tuner = keras_tuner.RandomSearch(build, objective=[keras_tuner.Objective("val_loss", "min"),
                                                       keras_tuner.Objective("latency_ms", "max")],
                                     directory=tmp_path, project_name="search")
    best = tuner.oracle.get_best_trials(1)[0]
    assert best.score == pytest.approx(min(trial.measures["val_loss"] - trial.measures["latency_ms"]
                                           for trial in search.trials.values() if trial.has_ended))
    assert capsys.readouterr().out


def test_a_measure_that_is_no_number_leaves_readable_files(tmp_path, capsys):
    """NaN makes a trial failed for KerasTuner, infinity stays a score that is the worst."""
    losses = iter([math.nan, math.inf, 0.5])
    search = Simulation(config_of("random"), tmp_path / "search", measure=lambda _: {"val_loss": next(losses)},
                        workers=1)
    search.run(3)
    search.driver.save(force=True)
    tuner = keras_tuner.RandomSearch(build, objective="val_loss", directory=tmp_path, project_name="search")
    assert [trial.trial_id for trial in tuner.oracle.get_best_trials(2)] == ["0002", "0001"]
    assert tuner.oracle.trials["0000"].status == "FAILED"
    assert "val_loss" in tuner.oracle.trials["0000"].message
    assert capsys.readouterr().out


def test_the_oracles_file_grows_with_the_search_and_not_with_its_square(tmp_path):
    """A thousand saves after a thousand trials write the state a few dozen times; a forced one always writes it."""
    files = ProjectFiles(SearchFolder.at(tmp_path))
    search = Simulation(config_of("random"), tmp_path, workers=1)
    written, bytes_written = 0, 0
    for _ in range(500):
        found = search.driver.next()
        files.write_trial(search.driver._records.trial(found.trial))
        if files.write_oracle(search.driver._oracle, force=False):
            written += 1
            bytes_written += files.oracle.stat().st_size
    assert written < 60
    search.driver.save(force=True)
    assert bytes_written < 12 * files.oracle.stat().st_size
    assert len(json.loads(files.oracle.read_text())["start_order"]) == 500
    before = files.oracle.stat().st_mtime_ns
    search.driver.save(force=True)
    assert files.oracle.stat().st_mtime_ns == before


def test_a_file_that_is_no_json_object_reads_as_none(tmp_path):
    """Missing, torn and foreign files are all the same: nothing that could be used."""
    path = tmp_path / "oracle.json"
    assert read_json(path) is None
    for content in ("{", "[1]", "\x00"):
        path.write_text(content)
        assert read_json(path) is None
