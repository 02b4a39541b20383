"""Beginning processes: what they are told, how their ends are told, and what the death of a launcher leaves."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tuning.executors.errand_search import RUNNER, is_alive, wait_for
from tuning.executors.forking import ZygoteLauncher
from tuning.executors.fresh_start import FreshLauncher
from tuning.executors.launching import Launcher, TrialProcess, in_words
from tuning.trial import TrialTask


@pytest.fixture(params=["forked", "fresh"])
def launcher(request: pytest.FixtureRequest) -> Iterator[Launcher]:
    """Each way to begin a process."""
    found: Launcher = ZygoteLauncher(RUNNER) if request.param == "forked" else FreshLauncher(RUNNER)
    wait_for(lambda: found.ready)
    yield found
    found.close()


def begin(launcher: Launcher, folder: Path, errand: str, key: str = "0000", gpu: str = "") -> TrialProcess:
    order: dict[str, Any] = {
        "task": TrialTask(trial="0000", values={"errand": errand}).to_dict(), "program": {}, "folder": str(folder),
        "share": {"cores": [], "threads": 1, "gpu": gpu}}
    (folder / "trial_0000").mkdir(exist_ok=True)
    with (folder / "log").open("ab") as log:
        return launcher.start(key, order, log)


def end_of(launcher: Launcher) -> tuple[str, int]:
    found: list[tuple[str, int]] = []

    def look() -> bool:
        found.extend(launcher.ended())
        return bool(found)

    wait_for(look)
    return found[0]


@pytest.mark.parametrize(("errand", "status"), [("tell", 0), ("die 5", 5), ("die SIGTERM", -15), ("die SIGABRT", -6)])
def test_ends_are_told_once_with_their_status(launcher: Launcher, tmp_path: Path, errand: str, status: int) -> None:
    """A process's exit code or signal is told with its key; its outcome came before."""
    process = begin(launcher, tmp_path, errand, key="any key")
    assert end_of(launcher) == ("any key", status)
    assert launcher.ended() == []
    messages, closed = process.channel.arrived()
    assert closed
    assert [list(message) for message in messages] == ([["outcome"]] if status == 0 else [])
    launcher.bury(process)
    process.channel.close()


def test_closing_kills_trials_and_what_they_began(launcher: Launcher, tmp_path: Path) -> None:
    """After `close` neither a trial nor its own process is left, were they stopped or not."""
    process = begin(launcher, tmp_path, "hang")
    wait_for((tmp_path / "trial_0000" / "began").exists)
    began = int((tmp_path / "trial_0000" / "began").read_text())
    process.send_signal(signal.SIGSTOP)
    launcher.close()
    wait_for(lambda: not is_alive(process.pid) and not is_alive(began), 5)
    process.channel.close()


def test_statuses_read_well() -> None:
    """A number of a signal without a name is told as a number."""
    assert [in_words(3), in_words(-9), in_words(-60)] == [
        "ended with code 3", "was killed by SIGKILL", "was killed by signal 60"]


def test_a_graphics_card_is_given_by_name(launcher: Launcher, tmp_path: Path) -> None:
    """With a card in its share a process sees that one alone, and leaves memory on it to others."""
    process = begin(launcher, tmp_path, "show_card", gpu="GPU-77")
    end_of(launcher)
    launcher.bury(process)
    process.channel.close()
    assert json.loads((tmp_path / "trial_0000" / "card").read_text()) == ["GPU-77", "true"]
