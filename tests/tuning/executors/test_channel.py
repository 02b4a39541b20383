"""Messages over a pair of sockets: whole, in order, and the end of the other side noticed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tuning.executors.channel import Channel, ChannelContext
from tuning.folder import SearchFolder
from tuning.trial import EpochReport, TrialTask


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    """A channel, and the socket at its other end."""
    channel, far = Channel.pair()
    yield channel, far
    channel.close()
    far.close()


def test_messages_in_pieces_arrive_whole(ends: tuple[Channel, socket.socket]) -> None:
    """A message is told of once its last byte is there, and several that come at once are told apart."""
    channel, far = ends
    far.sendall(b'{"a": 1')
    assert channel.arrived() == ([], False)
    far.sendall(b'}\n{"b": 2}\n{"c"')
    assert channel.arrived() == ([{"a": 1}, {"b": 2}], False)
    far.sendall(b": NaN}\n")
    far.close()
    messages, closed = channel.arrived()
    assert closed
    assert [list(message) for message in messages] == [["c"]]


def test_a_large_message_passes(ends: tuple[Channel, socket.socket]) -> None:
    """More than any buffer holds comes through."""
    channel, far = ends
    words = {"words": "x" * 5_000_000}
    sender = threading.Thread(target=channel.send, args=(words,))
    sender.start()
    assert Channel(far).receive() == words
    sender.join()


@pytest.mark.parametrize("line", [b"no message\n", b"[1]\n", b"\xff\n"])
def test_who_talks_nonsense_is_heard_no_more(ends: tuple[Channel, socket.socket], line: bytes) -> None:
    """What came before still counts; the channel counts as closed."""
    channel, far = ends
    far.sendall(b'{"a": 1}\n' + line + b'{"b": 2}\n')
    assert channel.arrived() == ([{"a": 1}], True)


def test_a_report_carries_numbers_of_any_kind(ends: tuple[Channel, socket.socket]) -> None:
    """NumPy's numbers arrive as numbers; the answer decides whether the trial goes on."""
    channel, far = ends
    context = ChannelContext(Channel(far), TrialTask(trial="0000", values={}), SearchFolder(Path()))
    channel.send({"go": True})
    channel.send({"go": False})
    assert context.report(EpochReport(epoch=1, values={"loss": np.float32(0.5)}))
    assert not context.report(EpochReport(epoch=2, values={"loss": 0.25}, execution=1, seconds=2.0))
    assert channel.arrived()[0] == [
        {"report": {"epoch": 1, "values": {"loss": 0.5}, "execution": 0, "seconds": 0.0}},
        {"report": {"epoch": 2, "values": {"loss": 0.25}, "execution": 1, "seconds": 2.0}}]


def test_quiet_is_asked_for_once_and_always_given_back(ends: tuple[Channel, socket.socket]) -> None:
    """Quiet within quiet is the same quiet; an exception inside ends it too."""
    channel, far = ends
    context = ChannelContext(Channel(far), TrialTask(trial="0000", values={}), SearchFolder(Path()))
    channel.send({"quiet": True})
    with pytest.raises(ValueError, match="inside"), context.quiet():
        with context.quiet():
            assert channel.arrived()[0] == [{"quiet": True}]
        raise ValueError("inside")
    assert channel.arrived()[0] == [{"quiet": False}]


def test_a_trial_ends_when_its_engine_is_gone(ends: tuple[Channel, socket.socket]) -> None:
    """Nobody waits for such a trial, whether it speaks or waits for an answer."""
    channel, far = ends
    context = ChannelContext(Channel(far), TrialTask(trial="0000", values={}), SearchFolder(Path()))
    waiting = threading.Timer(0.05, channel.close)
    waiting.start()
    with pytest.raises(SystemExit, match="gone"):
        context.report(EpochReport(epoch=1, values={}))
    waiting.join()
    with pytest.raises(SystemExit, match="gone"), context.quiet():
        pass
