"""How much memory a trial takes, and whether the system killed a process because there was none left."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_CGROUP = Path("/sys/fs/cgroup")


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


def killed_for_memory() -> int:
    """Returns how often the system has killed a process for want of memory: in this container, or at all."""
    for path in (*_cgroup_files(), Path("/proc/vmstat")):
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _cgroup_files() -> list[Path]:
    files: list[Path] = []
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return files
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if "memory" in controllers.split(","):
            files.append(_CGROUP / "memory" / group.lstrip("/") / "memory.oom_control")
        elif not controllers:
            files.append(_CGROUP / group.lstrip("/") / "memory.events")
    return files
