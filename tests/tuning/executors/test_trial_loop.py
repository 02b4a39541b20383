"""Trials in real processes: each way to end, bounds, cores, quiet, and nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tuning.executors.errand_search import RUNNER, children, is_alive, run_errands, study_of, wait_for
from tuning.errors import EngineError, StoreError
from tuning.executors.cores import usable_cores
from tuning.executors.local import LocalEngine


@pytest.mark.parametrize("fork", [True, False], ids=["forked", "fresh"])
def test_each_way_to_end_is_told(tmp_path: Path, fork: bool) -> None:
    """A trial that trains, dies by a signal, exits, raises or runs out of memory is recorded as what it was."""
    trials = run_errands(tmp_path, ["train", "die SIGSEGV", "die 3", "raise MemoryError", "raise ValueError",
                                    "eat 600"], jobs=2, fork=fork, memory_bytes=400_000_000)
    assert [(trial.status, trial.kind) for trial in trials] == [
        ("completed", ""), ("failed", "crash"), ("failed", "crash"), ("failed", "memory"), ("failed", "error"),
        ("failed", "memory")]
    assert [report.epoch for report in trials[0].history] == [1, 2, 3]
    assert "SIGSEGV" in trials[1].error
    assert "code 3" in trials[2].error
    assert "what it printed last" in trials[2].error
    assert trials[4].error == "ValueError: so many words"
    assert "0.40 GB" in trials[5].error
    assert "what it printed last" in (tmp_path / "trial_0002" / "log.txt").read_text()
    assert 'raise {"MemoryError"' in (tmp_path / "trial_0004" / "log.txt").read_text()


def test_a_crash_is_tried_again_with_what_was_reported(tmp_path: Path) -> None:
    """The second attempt completes the trial, and the epoch of the first is still known."""
    trial, = run_errands(tmp_path, ["die_once SIGKILL"], retries=1)
    assert (trial.status, trial.attempts) == ("completed", 2)
    assert [report.epoch for report in trial.history] == [1]


@pytest.mark.parametrize("fork", [True, False], ids=["forked", "fresh"])
def test_a_trial_that_hangs_is_killed_with_what_it_began(tmp_path: Path, fork: bool) -> None:
    """After `trial_minutes` the trial counts as a timeout, and neither it nor its own process lives on."""
    trial, = run_errands(tmp_path, ["hang"], trial_minutes=3 / 60, fork=fork)
    assert (trial.status, trial.kind) == ("failed", "timeout")
    assert "trial_minutes" in trial.error
    folder = tmp_path / "trial_0000"
    for pid in (int((folder / "attempts").read_text().split()[0]), int((folder / "began").read_text())):
        wait_for(lambda pid=pid: not is_alive(pid), 5)


def test_trials_at_once_have_cores_of_their_own(tmp_path: Path) -> None:
    """Two trials that wait for each other run at once, on disjoint cores that are all there are, a thread on each."""
    if len(usable_cores()) < 2:
        pytest.skip("there is one core")
    trials = run_errands(tmp_path, ["tell 0001", "tell 0000"], jobs=2)
    assert {trial.status for trial in trials} == {"completed"}
    first, second = (json.loads((tmp_path / f"trial_000{number}" / "told").read_text()) for number in (0, 1))
    assert not set(first["cores"]) & set(second["cores"])
    assert {*first["cores"], *second["cores"]} == set(usable_cores())
    assert int(first["threads"]) == len(first["cores"])


def test_a_trial_finds_what_its_script_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial's process has the import path and working directory of the search, and is the first to be killed."""
    (tmp_path / "library").mkdir()
    (tmp_path / "workplace").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "library"))
    monkeypatch.chdir(tmp_path / "workplace")
    run_errands(tmp_path / "search", ["tell"])
    told = json.loads((tmp_path / "search" / "trial_0000" / "told").read_text())
    assert str(tmp_path / "library") in told["path"]
    assert told["folder"] == str(tmp_path / "workplace")
    assert told["program"] == "search"
    assert told["oom"] == "1000"


def test_quiet_stops_the_others(tmp_path: Path) -> None:
    """While one trial measures another writes no line, before and after it does; one measures at a time."""
    trials = run_errands(tmp_path, ["count_until 0001,0002", *["measure_beside 0.4 0000"] * 2], jobs=3)
    assert {trial.status for trial in trials} == {"completed"}
    ticks = [float(line) for line in (tmp_path / "trial_0000" / "ticks").read_text().split()]
    turns = sorted(tuple(map(float, (tmp_path / name / "quiet").read_text().split()))
                   for name in ("trial_0001", "trial_0002"))
    assert turns[0][1] <= turns[1][0]
    for begun, ended in turns:
        assert not [tick for tick in ticks if begun + 0.01 < tick < ended - 0.01]
        assert min(ticks) < begun
    assert max(ticks) > turns[1][1]


def test_who_dies_while_it_measures_stops_nobody_for_good(tmp_path: Path) -> None:
    """The others go on after the death of the one that measured."""
    trials = run_errands(tmp_path, ["count_until 0002", "measure_and_die", "measure_beside 0.1 0000"], jobs=2)
    assert [trial.status for trial in trials] == ["completed", "failed", "completed"]


def test_time_in_which_others_measure_does_not_count(tmp_path: Path) -> None:
    """A trial that lives for more than 2.4 seconds is not too slow for 2.2 if others measured for 2.4 of them."""
    trials = run_errands(tmp_path, ["count_until 0001,0002,0003,0004", *["measure_beside 0.6 0000"] * 4], jobs=5,
                         trial_minutes=2.2 / 60)
    assert [(trial.status, trial.error) for trial in trials] == [("completed", "")] * 5


@pytest.mark.parametrize("fork", [True, False], ids=["forked", "fresh"])
def test_what_a_trial_began_ends_with_it(tmp_path: Path, fork: bool) -> None:
    """A process that a trial leaves behind, though it ends well, is killed."""
    trial, = run_errands(tmp_path, ["leave_behind"], fork=fork)
    assert trial.status == "completed"
    began = int((tmp_path / "trial_0000" / "began").read_text())
    wait_for(lambda: not is_alive(began), 5)


def test_many_trials_leave_nothing_behind(tmp_path: Path) -> None:
    """After 40 trials this process has the descriptors and children that it had before, and the zygote no dead."""
    run_errands(tmp_path / "first", ["train"])
    before = len(list(Path("/proc/self/fd").iterdir())), children()
    trials = run_errands(tmp_path / "second", [*["train"] * 39, "tell"], jobs=3)
    assert {trial.status for trial in trials} == {"completed"}
    assert (len(list(Path("/proc/self/fd").iterdir())), children()) == before
    assert json.loads((tmp_path / "second" / "trial_0039" / "told").read_text())["siblings"] <= 3


def test_what_ends_every_trial_ends_the_search(tmp_path: Path) -> None:
    """A trial that says it could not go on, as with a full disk, stops the search in order; all goes on later."""
    with study_of(tmp_path, ["full_disk", "train"]) as study:
        with pytest.raises(StoreError, match="No space left"):
            LocalEngine(1, runner=RUNNER).run(study)
        assert study.trials["0000"].status == "running"
    trials = run_errands(tmp_path, ["full_disk", "train"])
    assert [trial.status for trial in trials] == ["completed", "completed"]


def test_what_cannot_be_imported_is_shown(tmp_path: Path) -> None:
    """An engine whose trials cannot even begin says why, instead of failing every trial."""
    with study_of(tmp_path, ["train"]) as study:
        with pytest.raises(EngineError, match="No module named 'no_such_module'"):
            LocalEngine(1, runner="no_such_module:run", fork=True).run(study)
        assert not study.running
