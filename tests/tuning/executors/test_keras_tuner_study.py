"""A chief's study as a worker sees it: joining with everything checked, and patience with a chief that is away."""

from __future__ import annotations

import json
import threading
import time

import pytest

from tests.tuning.executors.errand_search import config_of
from tuning.errors import EngineError
from tuning.executors.keras_tuner_environment import Address, MeetingPlace, versions
from tuning.executors.keras_tuner_service import Calls, JsonHandler, start_server
from tuning.executors.keras_tuner_study import RemoteStudy
from tuning.folder import SearchFolder
from tuning.trial import EpochReport, TrialOutcome, TrialTask

TASK = TrialTask(trial="0003", values={"units": 8}, epochs=3, until_epoch=3)


class Chief:
    """Answers from a list, and notes what was asked."""

    def __init__(self, place, **answers):
        self.place = place
        self.token = place.prepare()
        self.asked = []
        self.answers = {"hello": {"sees": True, "accepted": True, "versions": versions(),
                                  "config": config_of(["train"]).to_dict()}, **answers}
        self.address = Address("127.0.0.1", 0)
        self.start()

    def start(self):
        self.calls = Calls()
        names = ("hello", "beat", "ask", "report", "tell", "remark", "bye")
        handler = JsonHandler(self.calls, self.token, {name: self.answer(name) for name in names})
        self.server, self.address = start_server(self.address, [handler], lambda made: None)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.serve, args=(self.calls, self.ended))
        self.thread.start()

    def answer(self, name):
        def work(request):
            self.asked.append((name, request))
            return self.answers.get(name, {})

        return work

    def serve(self, calls, ended):
        while not ended.is_set():
            calls.serve(0.02)

    def stop(self):
        self.ended.set()
        self.thread.join()
        self.calls.close()
        self.server.stop(0).wait()


@pytest.fixture
def place(tmp_path):
    return MeetingPlace(SearchFolder.at(tmp_path))


@pytest.fixture
def chief(place):
    chief = Chief(place, ask={"task": TASK.to_dict()}, report={"go": False})
    yield chief
    chief.stop()


@pytest.fixture
def study(chief, place):
    study = RemoteStudy.join(chief.address, place, "w", 1.0)
    yield study
    study.leave()


def test_tasks_reports_and_outcomes_go_over_as_they_are(study, chief, place):
    """Every number arrives exactly, and the worker's file names the trials that it has."""
    assert study.ask() == TASK
    assert json.loads(place.beat("w").read_text())["trials"] == ["0003"]
    report = EpochReport(epoch=1, values={"val_loss": 0.1 + 0.2}, seconds=1.5)
    assert study.report("0003", report) is False
    outcome = TrialOutcome(status="completed", executions=({"val_loss": 1e-17},))
    study.tell("0003", outcome)
    study.remark("a line", "0003")
    told = dict(chief.asked)
    assert EpochReport(**told["report"]["report"]) == report
    assert TrialOutcome.from_dict(told["tell"]["outcome"]) == outcome
    assert (told["remark"]["text"], told["ask"]["running"]) == ("a line", [])


def test_a_chief_without_a_trial_is_not_asked_again_at_once(study, chief):
    """A loop that asks ten times a second makes two calls a second."""
    chief.answers["ask"] = {"task": None}
    assert [study.ask() for _ in range(20)] == [None] * 20
    assert sum(name == "ask" for name, _ in chief.asked) == 1


def test_the_end_of_the_search_is_heard(study, chief):
    """With any answer, or with the next beat."""
    assert not (study.done or study.stopping or study.over)
    chief.answers["beat"] = {"done": True}
    with study.beating():
        end = time.monotonic() + 10
        while not study.done and time.monotonic() < end:
            time.sleep(0.02)
    assert study.done
    assert study.over
    assert not study.stopping


def test_a_worker_that_is_told_to_stop_leaves_the_search_running(study):
    """Its own wish is not the search's end."""
    study.request_stop()
    assert study.stopping
    assert not study.over


def test_a_chief_that_comes_back_is_waited_for(study, chief):
    """A call that meets no chief is repeated until there is one again."""
    chief.stop()
    answers = []
    asker = threading.Thread(target=lambda: answers.append(study.ask()))
    asker.start()
    time.sleep(0.7)
    chief.start()
    asker.join(20)
    assert answers == [TASK]


def test_a_chief_that_stays_away_ends_the_worker(chief, place):
    """After three times its patience it says so, and what to do."""
    study = RemoteStudy.join(chief.address, place, "w", 0.3)
    chief.stop()
    with pytest.raises(EngineError, match=r"has not answered for 0\.9 seconds.*begin it again"):
        study.ask()
    study.leave()
    assert not place.beat("w").exists()
    chief.start()


def test_leaving_takes_the_workers_file_along(chief, place):
    """And tells the chief."""
    study = RemoteStudy.join(chief.address, place, "w", 1.0)
    assert place.beat("w").exists()
    study.leave()
    assert not place.beat("w").exists()
    assert chief.asked[-1][0] == "bye"


def test_everything_that_is_wrong_is_said_in_one_message(place, tmp_path):
    """No chief, and no folder: both at once, and no file is left behind."""
    with pytest.raises(EngineError) as refused:
        RemoteStudy.join(Address("127.0.0.1", 9), MeetingPlace(SearchFolder.at(tmp_path / "other")), "w", 1.0)
    assert "is not there" in str(refused.value)
    assert "no chief answers at 127.0.0.1:9" in str(refused.value)


@pytest.mark.parametrize(("answer", "words"), [
    ({"sees": False}, "does not see the files that this host writes"),
    ({"accepted": False}, "it works on another search"),
    ({"versions": {**versions(), "keras": "1.2.3"}}, "1.2.3 at the chief"),
])
def test_another_folder_search_or_version_is_found_before_a_trial_runs(place, answer, words):
    """The worker asks the chief what it sees."""
    chief = Chief(place)
    chief.answers["hello"] = chief.answers["hello"] | answer
    try:
        with pytest.raises(EngineError, match=words):
            RemoteStudy.join(chief.address, place, "w", 1.0)
        assert not place.beat("w").exists()
    finally:
        chief.stop()


def test_a_chief_of_another_search_at_the_same_address_is_left(study, chief):
    """The token of the folder is not that of the chief any more."""
    chief.stop()
    chief.token = "another"
    chief.start()
    with pytest.raises(EngineError, match="works on another search now"):
        study.ask()
