"""The driver of KerasTuner's oracles: what it proposes, and that a crash changes nothing."""

from __future__ import annotations

import itertools
import json

import keras_tuner
import pytest

from tests.tuning.oracles.simulation import Simulation, config_of, declare_small, measure
from tuning.config import ORACLES
from tuning.errors import StoreError
from tuning.folder import SearchFolder
from tuning.oracles.driver import make_driver
from tuning.oracles.protocol import Exhausted, Proposal, Waiting
from tuning.spaces.dimension import Dimension
from tuning.spaces.space import SearchSpace
from tuning.trial import EpochReport, Trial

TWO = ("val_loss", "latency_ms")


def flaky(values):
    """Fails for a part of the space."""
    return None if values["units"] == 16 else measure(values)


@pytest.mark.parametrize("objectives", [("val_loss",), TWO], ids=["one", "two"])
@pytest.mark.parametrize("oracle", ORACLES)
def test_a_driver_restored_at_any_point_proposes_what_the_old_one_would_have(oracle, objectives, tmp_path):
    """After every begun or ended trial, with KerasTuner's files and without any, the next proposals are the same."""
    search = Simulation(config_of(oracle, *objectives), tmp_path / "search", measure=flaky)
    for count in itertools.count():
        if count > (36 if oracle == "bayesian" else 50):
            break
        if len(search.running) < search.workers and (count % 3 == 0 or oracle != "bayesian"):
            fresh, same = search.restored(tmp_path / f"bare{count}"), search.restored(tmp_path / "search")
            expected = [search.step()]
            if isinstance(expected[0], Proposal):
                assert [fresh.next()] == [same.next()] == expected
            else:
                assert isinstance(fresh.next(), type(expected[0]))
        else:
            search.step()
    assert any(trial.status == "failed" for trial in search.trials.values())


@pytest.mark.parametrize("oracle", ORACLES)
def test_the_same_seed_gives_the_same_trials_and_another_seed_others(oracle, tmp_path):
    """What is proposed follows from the configuration; a seed of 0 is a seed like any other."""
    def values(name, seed):
        search = Simulation(config_of(oracle, seed=seed), tmp_path / name)
        search.run(12)
        return [trial.values for trial in search.trials.values()]

    assert values("a", 0) == values("b", 0)
    assert (values("a2", 0) == values("c", 1)) == (oracle == "grid")


def test_random_search_proposes_what_plain_kerastuner_would(tmp_path):
    """With the same seed and one worker the values are those of KerasTuner's own loop."""
    search = Simulation(config_of("random"), tmp_path / "ours", workers=1)
    theirs = keras_tuner.oracles.RandomSearchOracle(objective=keras_tuner.Objective("val_loss", "min"), seed=7,
                                                    max_trials=15, hyperparameters=search.driver.hyperparameters.copy())
    theirs.verbose = 0
    theirs._set_project_dir(tmp_path, "theirs")
    search.run(15)
    for trial in search.trials.values():
        plain = theirs.create_trial("tuner0")
        assert plain.hyperparameters.values == trial.values
        theirs.update_trial(plain.trial_id, trial.measures)
        plain.status = "COMPLETED"
        theirs.end_trial(plain)


@pytest.mark.parametrize("oracle", ["random", "grid", "bayesian"])
def test_a_finite_space_is_gone_through_once_and_then_exhausted(oracle, tmp_path):
    """Twelve points make twelve trials, none twice, with four workers; the oracle then has nothing left."""
    search = Simulation(config_of(oracle), tmp_path, declare_small, lambda values: {"val_loss": values["size"]}, 4)
    search.run(100)
    points = [tuple(sorted(trial.values.items())) for trial in search.trials.values()]
    assert len(points) == len(set(points)) == 12
    assert search.over
    assert isinstance(search.driver.next(), Exhausted)


def test_an_exhausted_space_is_not_searched_again_until_something_changes(tmp_path):
    """Engines ask ten times a second; the many draws of a space with nothing left are made once per change."""
    search = Simulation(config_of("random"), tmp_path, declare_small, lambda values: {"val_loss": 1.0}, 12)
    while not isinstance(search.driver.next(), Waiting):
        pass
    draws = []
    search.driver._oracle._random_values = lambda: draws.append(1)
    for _ in range(50):
        assert isinstance(search.driver.next(), Waiting)
    assert draws == []
    search.driver.ended(Trial(id="0003", values={}, status="failed", error="It broke."), {})
    assert isinstance(search.driver.next(), Waiting)
    assert draws == [1]


def test_grid_search_does_not_wait_for_trials_to_end(tmp_path):
    """All twelve points run at once if there are workers; KerasTuner alone would run two."""
    search = Simulation(config_of("grid"), tmp_path, declare_small, workers=12)
    found = [search.driver.next() for _ in range(13)]
    assert all(isinstance(one, Proposal) for one in found[:12])
    assert isinstance(found[12], Waiting)


def test_a_proposal_says_how_far_it_runs_and_what_it_takes_up(tmp_path):
    """Hyperband's lower rounds rest early, and a promoted trial takes up the one that it was."""
    search = Simulation(config_of("hyperband"), tmp_path, workers=1)
    proposals = []
    while not search.over:
        found = search.step()
        proposals += [found] if isinstance(found, Proposal) else []
    assert {proposal.until_epoch for proposal in proposals} == {1, 3, 9}
    by_id = {proposal.trial: proposal for proposal in proposals}
    promoted = [proposal for proposal in proposals if proposal.parent]
    assert promoted
    for proposal in promoted:
        parent = by_id[proposal.parent]
        assert parent.until_epoch == proposal.values["tuner/initial_epoch"] < proposal.until_epoch
        assert {n: v for n, v in parent.values.items() if not n.startswith("tuner/")} == {
            n: v for n, v in proposal.values.items() if not n.startswith("tuner/")}
    other = Simulation(config_of("random", epochs=4), tmp_path / "random").driver.next()
    assert isinstance(other, Proposal)
    assert (other.until_epoch, other.parent, other.trial) == (4, "", "0000")


def test_a_stopped_trial_counts_with_the_best_that_it_reached(tmp_path):
    """KerasTuner's file of it says completed, with the score and the epoch of its best report."""
    search = Simulation(config_of("random"), tmp_path)
    search.step()
    history = tuple(EpochReport(epoch=epoch, values={"val_loss": loss})
                    for epoch, loss in enumerate((0.5, 0.3, 0.4), start=1))
    search.driver.ended(search.trials["0000"].replace(status="stopped", history=history), {})
    state = json.loads((tmp_path / "trial_0000" / "trial.json").read_text())
    assert (state["status"], state["score"], state["best_step"]) == ("COMPLETED", 0.3, 1)


def test_what_the_journal_does_not_know_is_no_trial_for_kerastuner_either(tmp_path):
    """A trial whose line in the journal was lost in a crash is proposed again under the same id, and stands once."""
    search = Simulation(config_of("random"), tmp_path)
    for _ in range(3):
        search.step()
    lost = search.trials.pop("0002")
    driver = search.restored(tmp_path)
    assert not (tmp_path / "trial_0002" / "trial.json").exists()
    again = driver.next()
    assert isinstance(again, Proposal)
    assert (again.trial, again.values) == ("0002", lost.values)


def test_torn_files_of_kerastuner_are_written_anew(tmp_path):
    """The journal is what counts: a half-written trial.json and oracle.json are mended from it."""
    search = Simulation(config_of("random"), tmp_path)
    search.run(5)
    search.driver.save(force=True)
    whole = (tmp_path / "trial_0001" / "trial.json").read_text()
    (tmp_path / "trial_0001" / "trial.json").write_text(whole[:40])
    (tmp_path / "oracle.json").write_text("{")
    assert search.restored(tmp_path).next() == search.driver.next()
    assert (tmp_path / "trial_0001" / "trial.json").read_text() == whole
    assert json.loads((tmp_path / "oracle.json").read_text())["start_order"] == list(search.trials)


def test_a_full_or_forbidden_disk_is_said_with_the_file(tmp_path):
    """A file of KerasTuner's that cannot be written is an error of the search's folder, with its name."""
    search = Simulation(config_of("random"), tmp_path / "search")
    (tmp_path / "search").write_text("in the way")
    with pytest.raises(StoreError, match=r"trial_0000.trial\.json could not be written"):
        search.driver.next()


def test_the_space_of_a_registered_model_comes_from_the_configuration(tmp_path):
    """Without a function that declares it, `config.space` is what is searched."""
    space = SearchSpace((Dimension.parse("batch_size", "{16,32}"), Dimension.parse("learning_rate", "log:1e-4..1e-2")))
    config = config_of("random", hypermodel="", model="mlp_binary", space=space.to_dict())
    driver = make_driver(config, SearchFolder.at(tmp_path))
    found = driver.next()
    assert isinstance(found, Proposal)
    assert set(found.values) == {"batch_size", "learning_rate"}
    assert Trial(id=found.trial, values=found.values).searched == found.values
    assert [hp.name for hp in driver.hyperparameters.space] == ["batch_size", "learning_rate"]
