"""Forked processes: ids that stay, and what the death of the zygote leaves."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.tuning.executors.errand_search import RUNNER, is_alive, wait_for
from tests.tuning.executors.test_launching import begin, end_of
from tuning.errors import EngineError
from tuning.executors.forking import ZygoteLauncher
from tuning.executors.launching import LauncherDied


def test_a_process_is_its_own_until_it_is_buried(tmp_path: Path) -> None:
    """The id of an ended process is no other's before the launcher is told that nobody will signal it again."""
    launcher = ZygoteLauncher(RUNNER)
    wait_for(lambda: launcher.ready)
    process = begin(launcher, tmp_path, "die 5")
    end_of(launcher)
    assert Path(f"/proc/{process.pid}").exists()
    process.send_signal(signal.SIGKILL)
    launcher.bury(process)
    wait_for(lambda: not Path(f"/proc/{process.pid}").exists())
    process.channel.close()
    launcher.close()


def test_a_killed_zygote_takes_its_trials_along(tmp_path: Path) -> None:
    """Whoever asks it for anything is told that it died, and the trials are gone, even one that was stopped."""
    launcher = ZygoteLauncher(RUNNER)
    wait_for(lambda: launcher.ready)
    process = begin(launcher, tmp_path, "train 10")
    process.send_signal(signal.SIGSTOP)
    os.kill(launcher.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(process.pid))
    with pytest.raises(LauncherDied, match="SIGKILL"):
        launcher.ended()
    with pytest.raises(LauncherDied, match="SIGKILL"):
        begin(launcher, tmp_path, "train")
    process.channel.close()
    launcher.close()


def test_a_zygote_killed_as_it_warms_up_may_be_begun_anew() -> None:
    """Its death before it was ready is a death, and not an import that failed."""
    launcher = ZygoteLauncher(RUNNER, ("tests.tuning.executors.errand_search",))
    os.kill(launcher.pid, signal.SIGKILL)
    with pytest.raises(LauncherDied, match="SIGKILL"):
        wait_for(lambda: launcher.ready)
    launcher.close()


def test_a_failed_import_is_shown() -> None:
    """The text names the module that is missing, and that a new attempt is of no use."""
    launcher = ZygoteLauncher("no_such_module:run")
    with pytest.raises(EngineError, match="No module named 'no_such_module'") as caught:
        wait_for(lambda: launcher.ready)
    assert not isinstance(caught.value, LauncherDied)
    launcher.close()
