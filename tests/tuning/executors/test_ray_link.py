"""What Ray Tune is told for a study, and what the study is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tuning.executors.errand_search import study_of
from tuning.errors import EngineError, StoreError
from tuning.executors.ray_link import Loss, StudyLink
from tuning.study.study import Study
from tuning.trial import EpochReport, TrialOutcome


class Tune:
    """Tune's side: the orders that went out, the room that there is, and the time."""

    def __init__(self, study: Study) -> None:
        self.stopped: list[str] = []
        self.ends = 0
        self.slots = 2
        self.room = True
        self.now = 0.0
        self.link = StudyLink(study, stop=self.stopped.append, end=self._end, slots=lambda: self.slots,
                              has_room=lambda: self.room, clock=lambda: self.now)

    def _end(self) -> None:
        self.ends += 1


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    """A study of three errands."""
    with study_of(tmp_path, ["a", "b", "c"], retries=1) as made:
        yield made


def epoch(number: int) -> str:
    return json.dumps({"report": {"epoch": number, "values": {"val_loss": 1.0 / number}, "execution": 0, "seconds": 0}})


def over(**outcome: Any) -> str:
    return json.dumps({"outcome": TrialOutcome(**{"status": "completed", **outcome}).to_dict()})


def test_no_more_is_asked_for_than_runs_at_once(study: Study) -> None:
    """Tune asks ahead; an oracle that is asked before the last trial ended would know less than on `local`."""
    tune = Tune(study)
    assert [task and task.trial for task in map(tune.link.next, "xyz")] == ["0000", "0001", None]
    tune.link.said("x", over(executions=[{"val_loss": 1.0}]))
    third = tune.link.next("z")
    assert third is not None
    assert third.trial == "0002"
    for attempt in "yz":
        tune.link.said(attempt, over(executions=[{"val_loss": 1.0}]))
    assert tune.link.next("w") is None
    assert tune.link.finished
    assert not tune.link.running


def test_epochs_reach_the_study_and_its_word_the_trial(study: Study) -> None:
    """A trial that the study stops is told so once; what Tune repeats of an ended attempt is nothing new."""
    tune = Tune(study)
    tune.link.next("x")
    tune.link.said("x", epoch(1))
    assert tune.stopped == []
    study.request_stop()
    tune.link.said("x", epoch(2))
    assert tune.stopped == ["x"]
    assert [report.epoch for report in study.trials["0000"].history] == [1, 2]
    tune.link.said("nobody", epoch(3))
    assert study.trials["0000"].history[-1] == EpochReport(epoch=2, values={"val_loss": 0.5})


def test_a_lost_trial_is_tried_again(study: Study) -> None:
    """The study decides on retries: a lost attempt comes again under another of Tune's ids, and not without end."""
    tune = Tune(study)
    for attempt, number in (("x", 1), ("y", 2)):
        task = tune.link.next(attempt)
        assert task is not None
        assert (task.trial, task.attempt) == ("0000", number)
        tune.link.lost(attempt, Loss("lost", "the node is gone"))
    assert (study.trials["0000"].status, study.trials["0000"].kind) == ("failed", "lost")


def test_an_end_that_nobody_asked_for_is_a_loss(study: Study) -> None:
    """A worker that can no longer hear the search ends its trial; that counts, or it would go on for ever."""
    tune = Tune(study)
    for attempt in "xy":
        tune.link.next(attempt)
        tune.link.said(attempt, over(status="interrupted"))
    assert (study.trials["0000"].status, study.trials["0000"].kind) == ("failed", "lost")


def test_a_request_to_stop_ends_all_and_waits_for_them_awhile(study: Study) -> None:
    """Asked to stop, every trial is told once, nothing more begins, and after a while Tune is let go."""
    tune = Tune(study)
    tune.link.next("x")
    assert not tune.link.must_abandon()
    study.request_stop()
    assert not tune.link.must_abandon()
    tune.now = 9.0
    assert not tune.link.must_abandon()
    assert tune.ends == 1
    assert tune.link.next("y") is None
    tune.now = 11.0
    assert tune.link.must_abandon()
    tune.link.close()
    assert study.running == ()
    assert study.trials["0000"].status == "running"


def test_what_the_study_raises_ends_the_search_unchanged(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tune would take a full disk for a trial's failure; the error is kept, trials end, and it is raised at the end."""
    tune = Tune(study)
    tune.link.next("x")

    def full(trial: str, report: EpochReport) -> bool:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(study, "report", full)
    tune.link.said("x", epoch(1))
    assert tune.link.finished
    assert not tune.link.must_abandon()
    assert tune.ends == 1
    with pytest.raises(StoreError, match="The disk is full"):
        tune.link.close()


def test_a_node_that_cannot_run_trials_ends_the_search(study: Study) -> None:
    """What would fail every trial is the engine's error and no trial's."""
    tune = Tune(study)
    tune.link.next("x")
    tune.link.lost("x", Loss("error", "another version of Keras", engine=True))
    with pytest.raises(EngineError, match="another version of Keras"):
        tune.link.close()
    assert study.trials["0000"].status == "running"


def test_no_room_is_told_once_it_lasts(study: Study) -> None:
    """While no node can hold a trial, that is written down after half a minute, and again only if it comes again."""
    tune = Tune(study)
    told = []
    for tune.now, tune.room in ((0.0, False), (20.0, False), (31.0, False), (40.0, False), (99.0, True), (100.0, False),
                                (120.0, False), (131.0, False)):
        tune.link.must_abandon()
        told.append(study.folder.journal.read_text().count("No node of the Ray cluster can hold a trial at present"))
    assert told == [0, 0, 1, 1, 1, 1, 1, 2]
    tune.slots = 0
    assert tune.link.next("x") is None
    tune.slots = 1
    assert tune.link.next("x") is not None
