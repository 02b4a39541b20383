"""Hyperband's rounds: what goes on, with failures and with several objectives; NumPy's numbers become Python's."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tuning.oracles.simulation import Simulation, config_of
from tuning.oracles.strategies import plain


def line(hp):
    """One number, whose value is the loss."""
    hp.Float("loss", 0.0, 1.0)


def whole(path, measure, workers=1, *objectives):
    search = Simulation(config_of("hyperband", *objectives), path, line, measure, workers)
    search.run(10 ** 6)
    return search


def rounds(search, bracket=2):
    """Trials of a bracket by round; the first bracket is the one of most rounds."""
    found = {}
    for trial in search.trials.values():
        if trial.values["tuner/bracket"] == bracket:
            found.setdefault(trial.values["tuner/round"], []).append(trial)
    return found


@pytest.mark.parametrize("workers", [1, 4])
def test_the_best_third_of_a_round_goes_on(workers, tmp_path):
    """With nine epochs nine trials begin in the first bracket, the best three go on, and of them the best."""
    search = whole(tmp_path, lambda values: {"val_loss": values["loss"]}, workers)
    losses = [sorted(trial.values["loss"] for trial in members) for _, members in sorted(rounds(search).items())]
    assert len(losses[0]) >= 9
    if workers == 1:
        assert losses[1] == losses[0][:len(losses[1])]
        assert losses[2] == losses[1][:len(losses[2])]


def test_failed_trials_leave_no_round_unfinished(tmp_path):
    """What failed is left behind: its round still sends on as many as it should, and none of the failed ones."""
    failed = whole(tmp_path / "a", lambda values: None if values["loss"] < 0.35 else {"val_loss": values["loss"]})
    sound = whole(tmp_path / "b", lambda values: {"val_loss": values["loss"]})
    sizes = {number: len(members) for number, members in rounds(failed).items()}
    assert sizes == {number: len(members) for number, members in rounds(sound).items()}
    assert any(trial.status == "failed" for trial in rounds(failed)[0])
    assert all(trial.status == "completed" for trial in rounds(failed)[1])


def test_a_search_of_nothing_but_failures_ends(tmp_path):
    """No round can be filled, and still the search comes to an end."""
    search = whole(tmp_path, lambda values: None, 3)
    assert search.over
    assert all(not trial.parent for trial in search.trials.values())


def test_with_two_objectives_the_front_goes_on(tmp_path):
    """No trial that goes on from the first round is dominated by one that stays behind."""
    search = whole(tmp_path, lambda values: {"val_loss": values["loss"] * 10 % 1, "latency_ms": values["loss"] * 7 % 1},
                   1, "val_loss", "latency_ms")
    first, second = rounds(search)[0], rounds(search)[1]
    gone_on = {trial.parent for trial in second}
    for kept in (trial for trial in first if trial.id in gone_on):
        for left in (trial for trial in first if trial.id not in gone_on):
            assert not all(left.measures[name] < kept.measures[name] for name in left.measures)


def test_numbers_of_numpy_become_pythons():
    """What goes into the journal and to other processes are int, float, bool and str."""
    found = plain({"a": np.float64(0.5), "b": np.int64(3), "c": True, "d": "x", "e": np.bool_(False)})
    assert [type(value) for value in found.values()] == [float, int, bool, str, bool]
