"""A chief and its workers: every trial is accounted for, whoever dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.tuning.executors.chief_search import Workers, address_in, run_chief
from tests.tuning.executors.errand_search import REPOSITORY, wait_for
from tuning.errors import EngineError
from tuning.executors.keras_tuner_chief import KerasTunerEngine
from tuning.study.events import EpochDone, Remark, TrialBegun
from zoo.errors import ArgumentError


def remarks(view):
    return "\n".join(remark.text for remark in view.remarks)


def test_two_workers_share_a_search_and_end_with_it(tmp_path):
    """Each trial runs once, both workers have a part, and both end by themselves."""
    with Workers(tmp_path) as workers:
        def listen(study, event):
            if address := address_in(event):
                workers.start(address, "--name", "first")
                workers.start(address, "--name", "second")

        view = run_chief(tmp_path, ["train 0.05"] * 12, listen)
        assert [process.wait(20) for process in workers.processes] == [0, 0]
    ends = [(trial.status, trial.attempts, trial.epochs) for trial in view.trials.values()]
    assert ends == [("completed", 1, 3)] * 12
    assert "the worker first has joined" in remarks(view)
    assert "the worker second has joined" in remarks(view)
    assert not list((tmp_path / "workers").glob("*.json"))


def test_a_killed_worker_is_reported_and_its_trial_goes_on_elsewhere(tmp_path):
    """kill -9 of a host's worker: the other one takes the trial up from its last epoch, and the search ends."""
    with Workers(tmp_path) as workers:
        def listen(study, event):
            if address := address_in(event):
                workers.start(address, "--name", "first")
            if isinstance(event, TrialBegun) and event.trial.id == "0001" and len(workers.processes) == 1:
                workers.start(_address(study), "--name", "second")
            if isinstance(event, EpochDone) and event.trial.id == "0001" and event.report.epoch == 2:
                workers.processes[0].kill()

        view = run_chief(tmp_path, ["train 0.2"] * 4, listen, retries=1)
    assert [trial.status for trial in view.trials.values()] == ["completed"] * 4
    assert view.trials["0001"].attempts == 2
    assert [report.epoch for report in view.trials["0001"].history] == [1, 2, 3]
    assert "the worker first is lost: it gave no sign for 4 seconds; its trial 0001 is taken back" in remarks(view)


def test_a_trial_whose_workers_all_die_is_lost_and_the_chief_still_ends(tmp_path):
    """After its retries the trial has failed as lost; the rest of the search is done by who lives."""
    with Workers(tmp_path) as workers:
        def listen(study, event):
            if address := address_in(event):
                workers.start(address, "--name", "first")
            if isinstance(event, EpochDone) and event.trial.id == "0000" and event.report.epoch == 1:
                workers.processes[0].kill()
                workers.start(_address(study), "--name", "second")

        view = run_chief(tmp_path, ["train 0.2"] * 2, listen)
    assert [(trial.status, trial.kind) for trial in view.trials.values()] == [("failed", "lost"), ("completed", "")]
    assert "The worker first was lost" in view.trials["0000"].error


def test_a_worker_that_leaves_gives_its_trial_back(tmp_path):
    """SIGTERM to a worker: its trial does not count as failed, and another worker ends it."""
    with Workers(tmp_path) as workers:
        def listen(study, event):
            if address := address_in(event):
                workers.start(address, "--name", "first")
            if isinstance(event, EpochDone) and event.report.epoch == 1 and len(workers.processes) == 1:
                workers.processes[0].send_signal(signal.SIGTERM)
                workers.start(_address(study), "--name", "second")

        view = run_chief(tmp_path, ["train 0.3"], listen)
        assert workers.processes[0].wait(20) == 2
    assert (view.trials["0000"].status, view.trials["0000"].epochs) == ("completed", 3)


def test_the_chiefs_own_worker_is_begun_again_when_it_dies(tmp_path):
    """The worker that the chief began itself is seen to die at once, and a new one goes on with its trial."""
    def listen(study, event):
        if isinstance(event, EpochDone) and event.trial.id == "0000" and event.report.epoch == 1:
            own = next((tmp_path / "workers").glob("own-*.json"))
            os.kill(json.loads(own.read_text())["pid"], signal.SIGKILL)

    view = run_chief(tmp_path, ["train 0.1"] * 2, listen, engine={"local": True, "jobs": 1}, retries=1)
    assert [(trial.status, trial.epochs) for trial in view.trials.values()] == [("completed", 3)] * 2
    assert "its process was killed by SIGKILL; its trial 0000 is taken back" in remarks(view)


def test_a_killed_chief_goes_on_with_the_workers_that_wait_for_it(tmp_path):
    """kill -9 of the chief: the same command takes the search up, no finished trial is repeated, none runs twice."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "tests.tuning.executors.chief_search", str(tmp_path), address,
               json.dumps(["train 0.3"] * 4)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}
    chiefs = [subprocess.Popen(command, cwd=REPOSITORY, env=environment)]
    with Workers(tmp_path) as workers:
        try:
            wait_for(lambda: "zoo tune worker" in _journal(tmp_path), 180)
            worker = workers.start(address, "--name", "only", "--patience", "60")
            wait_for(lambda: (tmp_path / "trial_0001" / "epochs").exists(), 180)
            chiefs[0].kill()
            chiefs[0].wait()
            chiefs.append(subprocess.Popen(command, cwd=REPOSITORY, env=environment))
            assert chiefs[1].wait(180) == 0
            assert worker.wait(30) == 0
        finally:
            for chief in chiefs:
                if chief.poll() is None:
                    chief.kill()
                chief.wait()
    for trial in range(4):
        epochs = (tmp_path / f"trial_{trial:04d}" / "epochs").read_text().splitlines()
        assert [line.split()[0] for line in epochs] == ["1", "2", "3"]


def test_the_own_worker_of_an_earlier_chief_holds_nothing(tmp_path):
    """It died with its chief: what its file names is run at once, however patient the new chief is."""
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "own-1.json").write_text('{"beat": 7, "trials": ["0000"]}')
    view = run_chief(tmp_path, ["train"], lambda study, event: None,
                     engine={"local": True, "jobs": 1, "patience_s": 3600.0})
    assert view.trials["0000"].status == "completed"


def test_a_request_to_stop_ends_chief_and_workers(tmp_path):
    """The running trial is interrupted and not failed; both sides end within moments."""
    with Workers(tmp_path) as workers:
        def listen(study, event):
            if address := address_in(event):
                workers.start(address)
            if isinstance(event, EpochDone):
                study.request_stop()

        view = run_chief(tmp_path, ["train 0.2"] * 3, listen)
        assert workers.processes[0].wait(20) == 0
    assert [trial.status for trial in view.trials.values()] == ["running"]


def test_without_any_worker_the_chief_gives_up(tmp_path):
    """It says so, and what to do, instead of waiting for ever."""
    with pytest.raises(EngineError, match=r"No worker has lived for 0\.5 seconds"):
        run_chief(tmp_path, ["train"], lambda study, event: None, engine={"alone_s": 0.5})


def test_everything_that_is_wrong_is_said_at_once(tmp_path):
    """A taken port and a folder that cannot be written are one message."""
    (tmp_path / "workers").write_text("in the way")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(EngineError) as refused:
            run_chief(tmp_path, ["train"], lambda study, event: None, engine={"address": address})
    assert f"the address {address} cannot be listened at" in str(refused.value)
    assert "workers cannot be written" in str(refused.value)


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"address": "10.0.0.1"}, EngineError, "reads HOST:PORT"),
    ({"jobs": 0}, ArgumentError, "`jobs` must be above 0"),
    ({"patience_s": -1.0}, ArgumentError, "`patience_s` must be above 0"),
])
def test_wrong_arguments_are_refused(options, error, words):
    """Before anything is begun."""
    with pytest.raises(error, match=words):
        KerasTunerEngine(**options)


def test_remarks_tell_how_other_hosts_join(tmp_path):
    """The address and the folder stand in the search, so that the command can be copied."""
    heard = []

    def listen(study, event):
        heard.append(event)
        study.request_stop()

    run_chief(tmp_path, ["train"], listen)
    assert any(isinstance(event, Remark) and address_in(event).startswith("127.0.0.1:") for event in heard)


def _address(study):
    view = (study.folder.path / "journal.jsonl").read_text()
    return view.split("zoo tune worker ")[-1].split(" ")[0]


def _journal(folder):
    path = folder / "journal.jsonl"
    return path.read_text() if path.exists() else ""
