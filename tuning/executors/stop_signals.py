"""Ctrl-C and its like while a search runs: noted and answered in order, instead of thrown into the midst of it."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from types import FrameType, TracebackType
from typing import Any

_ASKING = ("SIGINT", "SIGTERM", "SIGHUP")


class StopSignals:
    """While this is entered in the main thread, the first signal is noted; a second Ctrl-C is Python's own.

    In another thread, where Python lets nobody handle signals, nothing is changed.
    """

    def __init__(self) -> None:
        self.asked = ""
        self._before: dict[signal.Signals, Any] = {}
        self._wakeup_before = -1
        self._near, self._far = socket.socketpair()

    def __enter__(self) -> StopSignals:
        for end in (self._near, self._far):
            end.setblocking(False)
        if threading.current_thread() is threading.main_thread():
            self._wakeup_before = signal.set_wakeup_fd(self._far.fileno(), warn_on_full_buffer=False)
            for name in _ASKING:
                number = getattr(signal, name, None)
                # What is ignored stays so: `nohup` means it.
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._before:
            signal.set_wakeup_fd(self._wakeup_before)
        self._near.close()
        self._far.close()

    def fileno(self) -> int:
        """Returns a descriptor that is readable once a signal has come."""
        return self._near.fileno()

    def clear(self) -> None:
        """Takes away what made the descriptor readable."""
        with contextlib.suppress(BlockingIOError):
            while self._near.recv(64):
                pass

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number).name
