"""Who may measure, with processes that really run and really stop."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tuning.executors.errand_search import wait_for
from tuning.executors.channel import Channel
from tuning.executors.launching import TrialProcess
from tuning.executors.quiet import QuietRoom

BUSY = "while True: pass"


class Trials:
    """Busy processes with channels, and the room that they share."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.processes: list[TrialProcess] = []
        self.ends: list[socket.socket] = []
        self.now = 0.0
        for number in range(3):
            busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True))
            stack.callback(busy.kill)
            channel, end = Channel.pair()
            stack.callback(channel.close)
            stack.callback(end.close)
            self.processes.append(TrialProcess(str(number), busy.pid, channel))
            self.ends.append(end)
        self.room = QuietRoom(lambda: self.processes, clock=lambda: self.now)

    def states(self) -> str:
        """One letter for each: "R" runs, "T" is stopped."""
        letters = [Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2][0] for process in self.processes]
        return "".join("R" if letter in "RSD" else letter for letter in letters)

    def told(self, number: int) -> bytes:
        """What a process was told since the last time."""
        self.ends[number].setblocking(False)
        try:
            return self.ends[number].recv(100)
        except BlockingIOError:
            return b""


@pytest.fixture
def trials() -> Iterator[Trials]:
    """Three busy processes."""
    with contextlib.ExitStack() as stack:
        found = Trials(stack)
        wait_for(lambda: found.states() == "RRR")
        yield found


def test_the_others_stand_still_before_one_is_told(trials: Trials) -> None:
    """By the time that a trial is told that it is quiet the others are stopped; afterwards they run again."""
    trials.room.ask(trials.processes[1])
    assert trials.told(1) == b'{"quiet":true}\n'
    assert trials.states() == "TRT"
    assert trials.room.holder is trials.processes[1]
    assert [trials.room.stands_still(process) for process in trials.processes] == [True, False, True]
    trials.room.leave(trials.processes[1])
    wait_for(lambda: trials.states() == "RRR")
    assert trials.room.holder is None


def test_stopped_processes_use_no_time(trials: Trials) -> None:
    """What a stopped process has computed does not grow."""
    def ticks() -> str:
        return Path(f"/proc/{trials.processes[0].pid}/stat").read_text().rpartition(") ")[2].split()[11]

    trials.room.ask(trials.processes[1])
    before = ticks()
    time.sleep(0.1)
    assert ticks() == before
    trials.room.leave(trials.processes[1])
    wait_for(lambda: ticks() != before)


def test_one_after_the_other(trials: Trials) -> None:
    """Who asks while another measures is told when that one is done, in the order of asking."""
    for number in (2, 0, 1):
        trials.room.ask(trials.processes[number])
    for number, states in ((2, "TTR"), (0, "RTT"), (1, "TRT")):
        assert trials.told(number) == b'{"quiet":true}\n'
        wait_for(lambda states=states: trials.states() == states)
        trials.room.leave(trials.processes[number])
    wait_for(lambda: trials.states() == "RRR")


def test_the_dead_hold_nothing(trials: Trials) -> None:
    """A trial that has died as it waited is passed over, and one that leaves without having asked changes nothing."""
    trials.room.ask(trials.processes[0])
    trials.room.ask(trials.processes[1])
    trials.room.leave(trials.processes[2])
    assert trials.room.holder is trials.processes[0]
    trials.ends[1].close()
    trials.room.leave(trials.processes[0])
    assert trials.room.holder is None
    wait_for(lambda: trials.states() == "RRR")


def test_nobody_measures_for_ever(trials: Trials) -> None:
    """After a quarter of an hour the others go on."""
    trials.room.ask(trials.processes[0])
    trials.now = 890.0
    trials.room.look()
    assert trials.states() == "RTT"
    trials.now = 910.0
    trials.room.look()
    wait_for(lambda: trials.states() == "RRR")


def test_opened_doors_let_all_go_on(trials: Trials) -> None:
    """When the search ends nobody is left stopped or waiting."""
    trials.room.ask(trials.processes[0])
    trials.room.ask(trials.processes[1])
    trials.room.open()
    wait_for(lambda: trials.states() == "RRR")
    assert trials.told(1) == b""
    assert not any(map(trials.room.stands_still, trials.processes))
