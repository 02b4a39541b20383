"""One process holds a search's folder, and looking at the lock does not take it."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from tuning.errors import StoreError
from tuning.study.lock import SearchLock, is_held


def test_the_lock_is_held_until_it_is_released(tmp_path: Path) -> None:
    """Who asks second is refused and told the process; a release, also a second one, frees it."""
    path = tmp_path / "lock"
    assert not is_held(path)
    lock = SearchLock(path)
    assert is_held(path) and json.loads(path.read_text())["pid"] == os.getpid()
    with pytest.raises(StoreError, match=f"process {os.getpid()} on .* zoo tune stop {tmp_path}"):
        SearchLock(path)
    lock.release()
    lock.release()
    assert not is_held(path)
    SearchLock(path).release()


def test_lookers_do_not_keep_a_process_out(tmp_path: Path) -> None:
    """A process gets the lock a hundred times while two others look at it without a pause."""
    path = tmp_path / "lock"
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            is_held(path)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(100):
            SearchLock(path).release()
    finally:
        over.set()
        for looker in lookers:
            looker.join()


def test_a_lock_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    """A missing folder is named with the reason."""
    with pytest.raises(StoreError, match=r"cannot be written: .*gone/lock: No such file"):
        SearchLock(tmp_path / "gone" / "lock")
