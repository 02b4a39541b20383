"""How much memory a trial takes."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def memory_of(pid: int) -> int:
    """Returns the bytes of memory that a process and those that it began hold for themselves.

    Files that are mapped (libraries) are left out; what a forked process still shares with its parent is counted.

    Args:
        pid: The process; 0 bytes where it is gone or the system does not tell.
    """
    total, waiting = 0, [pid]
    while waiting:
        process = Path(f"/proc/{waiting.pop()}")
        try:
            _, resident, shared, *_ = (process / "statm").read_text().split()
            total += (int(resident) - int(shared)) * _PAGE
            for thread in (process / "task").iterdir():
                waiting.extend(map(int, (thread / "children").read_text().split()))
        except OSError:  # it or a thread has just ended, or there is no /proc
            continue
    return total
