"""The local engine as a command: killed, stopped, begun twice; and what it costs a trial to be forked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from tests.tuning.executors.errand_search import (
    REPOSITORY,
    RUNNER,
    Command,
    children,
    is_alive,
    run_errands,
    study_of,
    wait_for,
)
from tuning.executors.local import LocalEngine
from zoo.errors import ArgumentError


def test_kill_9_of_a_trial_costs_the_epoch_that_it_was_in(tmp_path: Path) -> None:
    """A trial killed from outside is tried again and goes on after its last epoch; its neighbour is not disturbed."""
    with Command(tmp_path, ["train_to 2", "train"], retries=1, epochs=4) as command:
        saved = tmp_path / "trial_0000" / "epochs"
        wait_for((tmp_path / "trial_0000" / "began").exists)
        os.kill(command.pid_of("0000"), signal.SIGKILL)
        first, second = command.finish()
    assert (first["status"], first["attempts"], first["epochs"]) == ("completed", 2, [1, 2, 3, 4])
    assert (second["status"], second["attempts"]) == ("completed", 1)
    assert [line.split()[0] for line in saved.read_text().splitlines()] == ["1", "2", "3", "4"]


def test_kill_9_of_the_search_loses_nothing(tmp_path: Path) -> None:
    """No process outlives the search; the same command repeats no finished trial and no saved epoch."""
    errands = ["train", "train_to 2", "hang_once", "train"]
    with Command(tmp_path, errands, epochs=4) as command:
        saved = tmp_path / "trial_0001" / "epochs"
        wait_for((tmp_path / "trial_0001" / "began").exists)
        wait_for((tmp_path / "trial_0002" / "began").exists)
        hanging, training, zygote = command.pid_of("0002"), command.pid_of("0001"), command.zygote()
        began = int((tmp_path / "trial_0002" / "began").read_text())
        os.kill(command.process.pid, signal.SIGKILL)
        command.process.wait()
        wait_for(lambda: not any(map(is_alive, (zygote, hanging, training, began))), 5)
    with Command(tmp_path, errands, epochs=4) as command:
        trials = command.finish()
    assert [trial["status"] for trial in trials] == ["completed"] * 4
    assert [trial["attempts"] for trial in trials] == [1, 2, 2, 1]
    epochs = [line.split() for line in saved.read_text().splitlines()]
    assert [epoch[0] for epoch in epochs] == ["1", "2", "3", "4"]
    assert {epoch[1] for epoch in epochs[:2]} == {str(training)}
    assert trials[1]["epochs"] == [1, 2, 3, 4]


def test_death_of_the_zygote_is_survived(tmp_path: Path) -> None:
    """Trials whose zygote is killed end with it and go on in another's children, and it counts as no one's failure."""
    with Command(tmp_path, ["train_to 1", "hang_once"], epochs=3) as command:
        first, zygote = command.pid_of("0001"), command.zygote()
        wait_for((tmp_path / "trial_0001" / "began").exists)
        began = int((tmp_path / "trial_0001" / "began").read_text())
        os.kill(zygote, signal.SIGKILL)
        wait_for(lambda: not is_alive(first) and not is_alive(began), 5)
        trials = command.finish()
    assert [trial["status"] for trial in trials] == ["completed", "completed"]
    assert "was killed by SIGKILL" in command.folder.journal.read_text()


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGHUP", "stop"])
def test_a_search_stops_in_order(tmp_path: Path, how: str) -> None:
    """Asked by Ctrl-C, a signal or the file, it ends well and soon; its trials end too and go on another time."""
    with Command(tmp_path, ["train_to 2", "hang_once"], epochs=3) as command:
        saved = tmp_path / "trial_0000" / "epochs"
        hanging = command.pid_of("0001")
        wait_for((tmp_path / "trial_0000" / "began").exists)
        if how == "stop":
            command.folder.stop_request.touch()
        elif how == "SIGINT":  # a terminal tells the whole group
            os.killpg(command.process.pid, signal.SIGINT)
        else:
            command.process.send_signal(getattr(signal, how))
        trials = command.finish()
        assert [trial["status"] for trial in trials] == ["running", "running"]
        wait_for(lambda: not is_alive(hanging), 5)
    trials = [vars(trial) for trial in run_errands(tmp_path, ["train_to 2", "hang_once"], epochs=3)]
    assert [trial["status"] for trial in trials] == ["completed", "completed"]
    assert [line.split()[0] for line in saved.read_text().splitlines()] == ["1", "2", "3"]


def test_a_second_command_is_refused(tmp_path: Path) -> None:
    """While one command works on a search another is told so, and harms nothing."""
    errands = ["tell 0001", "hang_once"]
    with Command(tmp_path, errands, retries=1) as command:
        hanging = command.pid_of("0001")
        with Command(tmp_path, errands, retries=1) as second:
            assert "StoreError" in second.refused()
        (tmp_path / "trial_0001" / "told").touch()
        os.kill(hanging, signal.SIGKILL)
        assert [trial["status"] for trial in command.finish()] == ["completed", "completed"]


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    """A script that starts a search at its top level is run once, and not again in each trial's process."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(f"""
        from pathlib import Path
        from tests.tuning.executors.errand_search import run_errands
        print([trial.status for trial in run_errands(Path({str(tmp_path)!r}) / "search", ["train", "tell"], jobs=2)])
    """))
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=True,
                         env=os.environ | {"PYTHONPATH": str(REPOSITORY)})
    assert run.stdout.splitlines() == ["['completed', 'completed']"]


def test_it_runs_in_a_thread(tmp_path: Path) -> None:
    """Where Python lets nobody handle signals, a search runs all the same."""
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(t.status for t in run_errands(tmp_path, ["train"])))
    thread.start()
    thread.join(60)
    assert found == ["completed"]


def test_what_was_warmed_up_is_used_or_ended(tmp_path: Path) -> None:
    """`warm_up` begins the process that trials are forked from; `run` uses that one, and `close` ends it."""
    engine = LocalEngine(1, runner=RUNNER, fork=True)
    before = children()
    engine.warm_up()
    zygote, = children() - before
    with study_of(tmp_path, ["tell"]) as study:
        engine.run(study)
    assert f'"parent": {zygote}' in (tmp_path / "trial_0000" / "told").read_text()
    assert not is_alive(zygote)
    engine.warm_up()
    zygote, = children() - before
    engine.close()
    assert not is_alive(zygote)


def test_bounds_are_checked() -> None:
    """Nobody runs no trial at once, nor in no memory."""
    with pytest.raises(ArgumentError, match="jobs"):
        LocalEngine(0)
    with pytest.raises(ArgumentError, match="memory_bytes"):
        LocalEngine(1, 0)
