"""Trials at the chief's desk: given once, given again where they were lost on the way, taken back from the dead."""

from __future__ import annotations

import pytest

from tests.tuning.executors.errand_search import study_of
from tuning.executors.keras_tuner_desk import Desk
from tuning.executors.keras_tuner_environment import MeetingPlace
from tuning.executors.keras_tuner_roster import Roster
from tuning.trial import EpochReport, TrialOutcome

DONE = TrialOutcome(status="completed", executions=({"val_loss": 1.0},))


@pytest.fixture
def study(tmp_path):
    with study_of(tmp_path, ["train"] * 4, retries=1) as study:
        yield study


@pytest.fixture
def place(study):
    place = MeetingPlace(study.folder)
    place.prepare()
    return place


@pytest.fixture
def roster(place):
    return Roster(place, 60.0)


@pytest.fixture
def desk(study, roster):
    return Desk(study, roster)


def test_each_trial_is_given_to_one_worker(desk):
    """Two workers get two trials, and only its own worker may tell of a trial."""
    first, second = desk.ask("a", []), desk.ask("b", [])
    assert (first.trial, second.trial) == ("0000", "0001")
    assert (desk.worker_of("0000"), desk.trials_of("b"), desk.busy) == ("a", ("0001",), ("a", "b"))
    report = EpochReport(epoch=1, values={"val_loss": 1.0})
    assert desk.report("a", "0000", report)
    assert not desk.report("b", "0000", report)


def test_a_trial_that_was_lost_on_the_way_is_given_again(desk):
    """A worker that does not know what it was given gets the same task, and no other."""
    first = desk.ask("a", [])
    assert desk.ask("a", []) == first
    assert desk.ask("a", ["0000"]).trial == "0001"


def test_a_worker_of_one_trial_that_asks_again_has_begun_anew(desk, study):
    """KerasTuner's worker under the same name: its trial is interrupted, which is no failure, and given again."""
    assert desk.ask("tuner0", None).trial == "0000"
    again = desk.ask("tuner0", None)
    assert (again.trial, again.attempt) == ("0000", 2)
    assert study.trials["0000"].status == "running"


def test_an_outcome_counts_once_and_from_its_own_worker(desk, study):
    """What another worker, or the same one a second time, tells of it changes nothing."""
    desk.ask("a", [])
    desk.tell("b", "0000", DONE)
    assert study.trials["0000"].status == "running"
    desk.tell("a", "0000", DONE)
    desk.tell("a", "0000", TrialOutcome(status="failed", kind="error", error="late"))
    assert study.trials["0000"].status == "completed"


def test_a_dead_workers_trials_go_to_others(desk, study):
    """They are lost once, and asked for first; the search's remarks say which worker and why."""
    desk.ask("a", [])
    desk.ask("a", ["0000"])
    desk.lose("a", "its host burnt down")
    again = desk.ask("b", [])
    assert (again.trial, again.attempt) == ("0000", 2)
    assert desk.trials_of("a") == ()
    text = (study.folder.path / "journal.jsonl").read_text()
    assert "the worker a is lost: its host burnt down; its trials 0000, 0001 are taken back" in text


def test_a_trial_that_still_runs_somewhere_is_not_given_to_another(desk, place, roster):
    """A worker whose file names the trial has its processes: others get the next one, until the file lets it go."""
    place.write_beat("old", {"beat": 1, "trials": ["0000"]})
    roster.look()
    assert desk.ask("b", []).trial == "0001"
    place.write_beat("old", {"beat": 2, "trials": []})
    roster.look()
    assert desk.ask("b", ["0001"]).trial == "0000"


def test_trials_that_take_too_long_are_known(study, roster):
    """By the chief's clock, from when they were given."""
    now = [0.0]
    desk = Desk(study, roster, lambda: now[0])
    desk.ask("a", [])
    now[0] = 61.0
    assert desk.overdue(1.0) == [("a", "0000")]
    assert desk.overdue(2.0) == []
