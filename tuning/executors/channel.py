"""What a trial's process and its engine say to each other: JSON, a line a message, over a pair of sockets.

    engine -> trial    {"task": ..., "program": ..., "folder": ..., "share": ...}     first of all
    trial -> engine    {"report": {"epoch": 1, "values": {...}, ...}}   answered by    {"go": true}
                       {"quiet": true}                                  answered by    {"quiet": true}
                       {"quiet": false}
                       {"outcome": {...}}                               last of all
"""

from __future__ import annotations

import dataclasses
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tuning.folder import SearchFolder
from tuning.trial import EpochReport, TrialTask

_AT_ONCE = 65536


class Channel:
    """One end of a stream of messages.

    Args:
        end: A connected stream socket, which the channel owns from here on.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._pending = b""

    @classmethod
    def pair(cls) -> tuple[Channel, socket.socket]:
        """Returns a channel and the socket of its other end."""
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return cls(near), far

    def fileno(self) -> int:
        """Returns the descriptor, for `select`."""
        return self._end.fileno()

    def send(self, message: Mapping[str, Any]) -> None:
        """Sends a message, waiting as long as the other end takes.

        Raises:
            OSError: The other end is closed.
        """
        self._end.sendall(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def receive(self) -> dict[str, Any] | None:
        """Waits for the next message; None once the other end is closed."""
        while b"\n" not in self._pending:
            try:
                data = self._end.recv(_AT_ONCE)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def arrived(self) -> tuple[list[dict[str, Any]], bool]:
        """Returns the messages that have come, without waiting, and whether the other end is closed.

        A line that is no message closes the channel too: whoever wrote it is not to be trusted with the next.
        """
        closed = False
        while not closed:
            try:
                data = self._end.recv(_AT_ONCE, socket.MSG_DONTWAIT)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                data = b""
            closed = not data
            self._pending += data
        *lines, self._pending = self._pending.split(b"\n")
        messages: list[dict[str, Any]] = []
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                return messages, True
            if not isinstance(message, dict):
                return messages, True
            messages.append(message)
        return messages, closed

    def close(self) -> None:
        """Closes this end."""
        self._end.close()


class ChannelContext:
    """A `TrialContext` whose engine is at the other end of a channel.

    Args:
        channel: To the engine.
        task: What is to be run.
        folder: The search's folder.
    """

    def __init__(self, channel: Channel, task: TrialTask, folder: SearchFolder) -> None:
        self._channel = channel
        self._task = task
        self._folder = folder
        self._quiet = 0

    @property
    def task(self) -> TrialTask:
        """What is to be run."""
        return self._task

    @property
    def folder(self) -> SearchFolder:
        """The search's folder."""
        return self._folder

    def report(self, report: EpochReport) -> bool:
        """Tells the study the measures of a saved epoch; False asks the trial to stop here.

        Args:
            report: The epoch's measures.

        Returns:
            Whether the trial goes on.

        Raises:
            SystemExit: The engine is gone; nobody waits for this trial any more.
        """
        values = {name: float(value) for name, value in report.values.items()}
        return bool(self._ask({"report": dataclasses.asdict(report) | {"values": values}})["go"])

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Keeps the other trials of this machine from computing, so that time can be measured.

        Raises:
            SystemExit: The engine is gone.
        """
        if not self._quiet:
            self._ask({"quiet": True})
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1
            if not self._quiet:
                self._send({"quiet": False})

    def _ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        self._send(message)
        answer = self._channel.receive()
        if answer is None:
            raise SystemExit("The search that this trial belongs to is gone.")
        return answer

    def _send(self, message: Mapping[str, Any]) -> None:
        try:
            self._channel.send(message)
        except OSError:
            raise SystemExit("The search that this trial belongs to is gone.") from None
