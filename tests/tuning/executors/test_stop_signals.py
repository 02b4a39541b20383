"""Signals are noted, and everything is as before afterwards."""

from __future__ import annotations

import select
import signal
import threading

import pytest

from tuning.executors.stop_signals import StopSignals


def test_a_signal_is_noted_and_wakes_who_waits() -> None:
    """SIGTERM does not end the process; it is told by name, and a wait on the descriptor ends."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with StopSignals() as signals:
        assert signals.asked == ""
        signal.raise_signal(signal.SIGTERM)
        assert signals.asked == "SIGTERM"
        assert select.select([signals], [], [], 5)[0] == [signals]
        signals.clear()
        assert select.select([signals], [], [], 0)[0] == []
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    previous = signal.set_wakeup_fd(-1)
    assert previous == -1


def test_a_second_interrupt_is_pythons_own() -> None:
    """Who presses Ctrl-C twice does not wait for order."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), StopSignals() as signals:
            signal.raise_signal(signal.SIGINT)
            assert signals.asked == "SIGINT"
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_is_ignored_stays_ignored() -> None:
    """Under `nohup` the end of the terminal asks nobody to stop."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            signal.raise_signal(signal.SIGHUP)
            assert signals.asked == ""
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_changes_no_handler() -> None:
    """Python lets only the main thread handle signals; others leave them alone."""
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def enter() -> None:
        with StopSignals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]
