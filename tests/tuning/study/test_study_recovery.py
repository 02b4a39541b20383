"""A search that was killed, found its disk full or its journal torn goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tuning.study.parts import Counting, as_a_crash_leaves_it, configuration, outcomes, run_all
from tuning.errors import StoreError
from tuning.folder import SearchFolder
from tuning.study.state import read_search
from tuning.study.study import Study
from tuning.trial import EpochReport, TrialOutcome


@pytest.mark.parametrize(("oracle", "changes"), [
    ("random", {"trials": 6, "seed": 3}),
    ("grid", {"trials": 6}),
    ("bayesian", {"trials": 7, "oracle_options": {"num_initial_points": 3}}),
    ("hyperband", {"trials": None, "epochs": 4, "oracle_options": {"factor": 2}, "seed": 8}),
    ("random", {"trials": 9, "stopper": "asha", "epochs": 9}),
])
def test_a_killed_search_goes_on_as_if_it_had_not_been(tmp_path: Path, oracle: str, changes: dict[str, object]) -> None:
    """What a kill leaves at any of a search's epochs is continued to the same trials, values, measures and winner."""
    left: list[SearchFolder] = []
    folder = SearchFolder.at(tmp_path / "search")
    moments = random.Random(1)

    def maybe_crash() -> None:
        if moments.random() < 0.15:
            left.append(as_a_crash_leaves_it(folder, tmp_path / f"crash{len(left)}"))

    with Study.open(folder, configuration(oracle=oracle, **changes)) as study:
        run_all(study, after_epoch=maybe_crash)
        expected, best = outcomes(study.trials), study.best()
    assert best is not None and len(left) >= 2
    assert ("stopper" in changes) == any(status == "stopped" for _, _, status, *_ in expected)
    for crashed in left:
        with Study.open(crashed) as study:
            known = [trial.id for trial in study.trials.values() if trial.has_ended]
            run_all(study)
            assert outcomes(study.trials) == expected
            assert study.best().id == best.id  # type: ignore[union-attr]
            assert all(study.trials[trial].attempts == 1 for trial in known), "finished trials are never repeated"
        assert json.loads(crashed.winner.read_text())["trial"] == best.id


_SEARCH = """
import os, sys
from tests.tuning.study.parts import Counting, configuration, run_trial
from tuning.folder import SearchFolder
from tuning.study.study import Study
with Study.open(SearchFolder.at(sys.argv[1]), configuration(trials=40), driver=Counting) as study:
    os.write(1, b"ready\\n")
    while not study.done:
        task = study.ask()
        run_trial(study, task)
        os.write(1, task.trial.encode() + b"\\n")
"""


def test_kill_9_again_and_again(tmp_path: Path) -> None:
    """A search whose process is killed at random moments until it ends has every trial once, and lost no outcome."""
    folder = SearchFolder.at(tmp_path / "search")
    ended: list[str] = []
    moments, kills, ran_through = random.Random(2), 0, False
    while not ran_through:
        with subprocess.Popen([sys.executable, "-c", _SEARCH, folder.path], stdout=subprocess.PIPE) as search:
            assert search.stdout is not None
            assert search.stdout.readline() == b"ready\n"
            if kills < 8:
                time.sleep(moments.uniform(0.0, 0.06))
                os.kill(search.pid, signal.SIGKILL)
                kills += 1
            new = search.stdout.read().decode().split()
        ran_through = search.returncode == 0
        assert not set(new) & set(ended), "a finished trial was run again"
        ended += new
        trials = read_search(folder).trials
        assert all(trials[trial].status == "completed" for trial in ended)
    with Study.open(SearchFolder.at(tmp_path / "whole"), configuration(trials=40), driver=Counting) as study:
        run_all(study)
        assert outcomes(read_search(folder).trials) == outcomes(study.trials)


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    """While one process works on a search, another is told its number; the death of the first frees the folder."""
    folder = SearchFolder.at(tmp_path / "search")
    waits = _SEARCH.replace("while not study.done:", "sys.stdin.read()\n    if 0:")
    with subprocess.Popen([sys.executable, "-c", waits, folder.path], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as first:
        assert first.stdout is not None and first.stdout.readline() == b"ready\n"
        with pytest.raises(StoreError, match=f"Another process works on this search: process {first.pid} on"):
            Study.open(folder, configuration(trials=40), driver=Counting)
        view = read_search(folder)
        assert view.alive and view.owner is not None and view.owner.pid == first.pid
        os.kill(first.pid, signal.SIGKILL)
    assert not read_search(folder).alive
    Study.open(folder, driver=Counting).close()


def test_a_search_goes_on_once_there_is_room(tmp_path: Path) -> None:
    """A search whose disk fills up says so, loses nothing that was told before, and ends like any other."""
    config = configuration(trials=8)
    with Study.open(SearchFolder.at(tmp_path / "whole"), config, driver=Counting) as study:
        run_all(study)
        expected = outcomes(study.trials)
    folder = SearchFolder.at(tmp_path / "search")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    refusals = 0
    for room in range(1500, 6000, 397):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
            with Study.open(folder, config, driver=Counting) as study:
                run_all(study)
        except StoreError as error:
            assert "ake room and run the same command again" in str(error)
            refusals += 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refusals >= 5
    with Study.open(folder, config, driver=Counting) as study:
        run_all(study)
        assert outcomes(study.trials) == expected


def test_the_same_attempt_is_asked_for_again(tmp_path: Path) -> None:
    """A trial that the oracle proposed and the journal had no room for is not lost to the study that goes on."""
    folder = SearchFolder.at(tmp_path / "search")
    with Study.open(folder, configuration(), driver=Counting) as study:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (folder.journal.stat().st_size + 20, hard))
            for _ in range(3):
                with pytest.raises(StoreError, match="make room"):
                    study.ask()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        task = study.ask()
        assert task is not None and (task.trial, task.values["dropout"], task.seed) == ("0000", 0.0, 0)


def test_a_torn_journal_is_mended_and_said(tmp_path: Path) -> None:
    """What a crash tore off is a trial to run again; the user reads what was kept where."""
    folder = SearchFolder.at(tmp_path / "search")
    with Study.open(folder, configuration(trials=2), driver=Counting) as study:
        run_all(study)
        expected = outcomes(study.trials)
    whole = folder.journal.read_bytes()
    place = whole.rindex(b'"kind":"ended"')
    folder.journal.write_bytes(whole[:place])
    with Study.open(folder, driver=Counting) as study:
        assert study.trials["0001"].status == "running"
        run_all(study)
        assert outcomes(study.trials) == expected
    remark, = read_search(folder).remarks
    assert "journal.jsonl.cut1" in remark.text and (folder.path / "journal.jsonl.cut1").is_file()


def test_files_made_from_the_journal_are_made_anew(tmp_path: Path) -> None:
    """The configuration, the winner and the recipes come back, byte for byte, when a crash kept them from the disk."""
    folder = SearchFolder.at(tmp_path / "search")
    with Study.open(folder, configuration(), driver=Counting) as study:
        run_all(study)
        best = study.best()
    assert best is not None
    paths = [folder.config, folder.winner, *(folder.trial(trial) / "recipe.json" for trial in study.trials)]
    before = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    Study.open(folder, driver=Counting).close()
    assert [path.read_bytes() for path in paths] == before


def test_a_driver_that_fails_closes_the_study(tmp_path: Path) -> None:
    """An oracle that knows less than the journal is not asked again; the next process gives it all that happened."""

    class Full(Counting):
        def ended(self, trial: object, trials: object) -> None:
            raise StoreError("oracle.json could not be written")

    folder = SearchFolder.at(tmp_path / "search")
    with Study.open(folder, configuration(), driver=Full) as study:
        study.ask()
        with pytest.raises(StoreError, match="oracle"):
            study.tell("0000", TrialOutcome(status="completed", executions=[{"val_loss": 1.0}]))
        with pytest.raises(StoreError, match="closed"):
            study.report("0000", EpochReport(epoch=1, values={}))
    with Study.open(folder, driver=Counting) as study:
        assert study.trials["0000"].status == "completed"
        assert json.loads(folder.winner.read_text())["trial"] == "0000"
