"""The lock of a search's folder: one process works on a search, and others can see which."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path

from tuning.errors import StoreError

# Somebody who only looks whether the lock is held holds it for a moment himself.
_TRIES = 10
_PAUSE_SECONDS = 0.03


class SearchLock:
    """Holds a search's folder until it is released or the process ends, however it ends.

    Args:
        path: The lock file.

    Raises:
        StoreError: Another process holds it, or the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"The search's folder cannot be written: {path}: {error.strerror}.") from error
        try:
            self._take()
        except BaseException:
            os.close(self._file)
            raise

    def release(self) -> None:
        """Lets others work on the search; a second time does nothing."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _take(self) -> None:
        assert self._file is not None
        for attempt in range(_TRIES):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == _TRIES - 1:
                    raise StoreError(f"Another process works on this search: {_holder(self._path)}. Wait for it, or "
                                     f"stop it with: zoo tune stop {self._path.parent}") from None
                time.sleep(_PAUSE_SECONDS)
        try:
            content = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, content + b"\n", 0)
        except OSError as error:
            raise StoreError(f"The search's folder cannot be written: {self._path}: {error.strerror}. Make room and "
                             "run the same command again.") from error


def is_held(path: Path) -> bool:
    """Tells whether a process works on a search.

    Args:
        path: The lock file.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _holder(path: Path) -> str:
    try:
        content = json.loads(path.read_text())
        return f"process {content['pid']} on {content['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "its number could not be read"
