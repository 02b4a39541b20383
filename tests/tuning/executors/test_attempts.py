"""How the end of a process is read."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tuning.executors.attempts import Attempt, interrupted
from tuning.executors.channel import Channel
from tuning.executors.cores import Share
from tuning.executors.launching import TrialProcess
from tuning.trial import TrialOutcome, TrialTask


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    """An attempt whose log has a line of an earlier one."""
    channel, far = Channel.pair()
    far.close()
    channel.close()
    log = tmp_path / "log.txt"
    log.write_text("of the first attempt\n")
    return Attempt(task=TrialTask(trial="0000", values={}), process=TrialProcess("0000/1", 2**22 + 1, channel),
                   share=Share(), log=log, log_begun=log.stat().st_size, memory_kills=3)


@pytest.mark.parametrize(("status", "kills", "kind", "words"), [
    (-signal.SIGKILL, 3, "crash", "was killed by SIGKILL"), (-signal.SIGKILL, 4, "memory", "ran out of memory"),
    (-signal.SIGSEGV, 4, "crash", "was killed by SIGSEGV"), (-60, 3, "crash", "was killed by signal 60"),
    (7, 3, "crash", "ended with code 7"), (0, 3, "crash", "ended with code 0 without an outcome"),
    (None, 3, "crash", "is gone")])
def test_an_end_without_outcome_is_a_crash(attempt: Attempt, status: int | None, kills: int, kind: str,
                                           words: str) -> None:
    """Killed while the system killed for memory it is that; all else is a crash, with what this attempt printed."""
    assert "first attempt" not in attempt.ended(status, kills).error
    with attempt.log.open("a") as file:
        file.write("a line\n\nanother\nthe third\nthe fourth\n")
    outcome = attempt.ended(status, kills)
    assert (outcome.status, outcome.kind) == ("failed", kind)
    assert words in outcome.error
    assert outcome.error.endswith("It printed last: another / the third / the fourth")


def test_the_programs_own_outcome_counts_before_all(attempt: Attempt) -> None:
    """An outcome that came stands, however the process ended then; the engine's reason stands before the status."""
    attempt.kill(interrupted("The search was asked to stop."))
    attempt.kill(TrialOutcome(status="failed", kind="timeout"))
    assert attempt.ended(-9, 3).status == "interrupted"
    attempt.outcome = TrialOutcome(status="completed", executions=({"loss": 1.0},))
    assert attempt.ended(-9, 4).status == "completed"


def test_time_that_others_took_does_not_count(attempt: Attempt) -> None:
    """Seconds are those of the wall clock without those in which the trial stood still."""
    attempt.begun -= 10
    attempt.stood_still = 4
    assert 6 <= attempt.ended(1, 3).seconds < 8


def test_killing_reaches_the_whole_group(tmp_path: Path) -> None:
    """A trial's process is killed for good, stopped or not."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as begun:
        channel, far = Channel.pair()
        far.close()
        channel.close()
        process = TrialProcess("0000/1", begun.pid, channel)
        process.send_signal(signal.SIGSTOP)
        Attempt(task=TrialTask(trial="0000", values={}), process=process, share=Share(), log=tmp_path / "log").kill(
            interrupted("why"))
        assert begun.wait(5) == -signal.SIGKILL
