"""What a worker of Ray does for its trials, with real processes and without Ray."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tuning.executors.errand_search import RUNNER, is_alive, wait_for
from tuning.executors.cores import Share
from tuning.executors.ray_host import TrialHost
from tuning.executors.ray_quiet import NodeQuiet
from tuning.folder import SearchFolder
from tuning.trial import TrialTask


class Worker:
    """A host, and the search that it works for."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.folder = SearchFolder.at(place / "search")
        self.ending = False
        self.host = self.another()

    def another(self) -> TrialHost:
        return TrialHost(RUNNER, Share(threads=1), NodeQuiet(self.place / "node"))

    def begin(self, errand: str, *, trial: str = "0000", attempt: int = 1, host: TrialHost | None = None,
              **program: Any) -> None:
        task = TrialTask(trial=trial, values={"errand": errand}, epochs=2, until_epoch=2, attempt=attempt)
        (host or self.host).begin(task, program, self.folder, must_end=lambda: self.ending)

    def next(self, host: TrialHost | None = None) -> dict[str, Any]:
        return (host or self.host).next_event(lambda: self.ending)

    def outcome(self) -> dict[str, Any]:
        outcome: dict[str, Any] = self.next()["outcome"]
        return outcome

    def pid(self, trial: str = "0000") -> int:
        return int((self.folder.trial(trial) / "attempts").read_text().splitlines()[-1].split()[0])


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """A worker whose host is closed afterwards."""
    made = Worker(tmp_path)
    yield made
    made.host.close()


def test_epochs_are_answered_and_the_zygote_is_kept(worker: Worker) -> None:
    """Each epoch waits for its answer; the next trial is another child of the same process, begun in no time."""
    parents = []
    for trial in ("0000", "0001"):
        worker.begin("train", trial=trial)
        assert [worker.next()["report"]["epoch"], worker.host.answer(True), worker.next()["report"]["epoch"]] == [
            1, None, 2]
        worker.host.answer(True)
        assert worker.outcome()["status"] == "completed"
        worker.begin("tell", trial=trial)
        assert worker.outcome()["status"] == "completed"
        parents.append((worker.folder.trial(trial) / "told").read_text().split('"parent": ')[1].split(",")[0])
    assert parents[0] == parents[1]


def test_a_trial_that_is_told_to_stop_ends_by_itself(worker: Worker) -> None:
    """An epoch that is answered with no more lets the program return its own outcome."""
    worker.begin("train")
    worker.next()
    worker.host.answer(False)
    outcome = worker.outcome()
    assert (outcome["status"], outcome["executions"]) == ("stopped", [{"val_loss": 1.0}])


@pytest.mark.parametrize(("errand", "kind", "words"), [
    ("die SIGSEGV", "crash", "SIGSEGV"), ("die 7", "crash", "code 7"), ("raise ValueError", "error", "so many words"),
    ("raise MemoryError", "memory", "out of memory")])
def test_a_death_is_told_with_its_reason(worker: Worker, errand: str, kind: str, words: str) -> None:
    """Whatever ends a trial's process, the worker lives on, and says what happened."""
    worker.begin(errand)
    outcome = worker.outcome()
    assert (outcome["status"], outcome["kind"]) == ("failed", kind)
    assert words in outcome["error"]
    worker.begin("tell")
    assert worker.outcome()["status"] == "completed"


def test_too_long_is_too_long(worker: Worker) -> None:
    """`trial_minutes` ends a trial that hangs, with all that it began."""
    worker.begin("hang", trial_minutes=0.01)
    outcome = worker.outcome()
    assert outcome["kind"] == "timeout"
    assert outcome["error"] == "The trial was not done in 0.01 minutes (`trial_minutes`)."
    began = int((worker.folder.trial("0000") / "began").read_text())
    wait_for(lambda: not is_alive(worker.pid()) and not is_alive(began), 3)


def test_the_end_of_the_search_ends_the_trial(worker: Worker) -> None:
    """When the search ends, the trial's process is gone before its outcome is told, and it does not count."""
    worker.begin("hang")
    wait_for((worker.folder.trial("0000") / "began").exists)
    worker.ending = True
    assert worker.outcome()["status"] == "interrupted"
    assert not is_alive(worker.pid())
    worker.begin("train", trial="0001")
    assert worker.outcome()["status"] == "interrupted"


def test_a_trial_that_is_left_over_ends_before_the_next(worker: Worker) -> None:
    """A worker that is given another trial runs no two at once."""
    worker.begin("hang")
    wait_for((worker.folder.trial("0000") / "began").exists)
    left_over = worker.pid()
    worker.begin("tell", trial="0001")
    assert not is_alive(left_over)
    assert worker.outcome()["status"] == "completed"


def test_the_death_of_the_zygote_is_survived(worker: Worker) -> None:
    """A zygote that is killed takes its trial along; the next trial begins from a new one."""
    worker.begin("hang")
    wait_for((worker.folder.trial("0000") / "began").exists)
    zygote = int(Path(f"/proc/{worker.pid()}/stat").read_text().rpartition(") ")[2].split()[1])
    os.kill(zygote, signal.SIGKILL)
    assert worker.outcome()["kind"] == "crash"
    worker.begin("tell")
    assert worker.outcome()["status"] == "completed"


def test_a_measuring_trial_is_alone(worker: Worker) -> None:
    """While a trial of another worker measures, this one's stands still, and its time does not count."""
    other = worker.another()
    begun = time.monotonic()
    worker.begin("count 2")
    worker.begin("measure 0.8", trial="0001", host=other)
    ends: dict[str, Any] = {}

    def run(name: str, host: TrialHost) -> Callable[[], None]:
        return lambda: ends.update({name: worker.next(host)["outcome"]})

    threads = [threading.Thread(target=run("counts", worker.host)), threading.Thread(target=run("measures", other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    other.close()
    whole = time.monotonic() - begun
    since, till = map(float, (worker.folder.trial("0001") / "quiet").read_text().split())
    ticks = [float(line) for line in (worker.folder.trial("0000") / "ticks").read_text().split()]
    assert {outcome["status"] for outcome in ends.values()} == {"completed"}
    assert not [tick for tick in ticks if since < tick < till]
    assert min(ticks) < since
    assert max(ticks) > till
    assert ends["counts"]["seconds"] < whole - 0.4, "it stood still for 0.8 seconds"


def test_who_dies_while_it_measures_lets_the_others_go_on(worker: Worker) -> None:
    """The quiet ends with the trial that asked for it."""
    worker.begin("measure_and_die 1")
    assert worker.outcome()["kind"] == "crash"
    begun = time.monotonic()
    worker.begin("tell")
    assert worker.outcome()["status"] == "completed"
    assert time.monotonic() - begun < 60
