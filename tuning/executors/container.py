"""What the container or machine allows this process: cores' worth of time, memory, and who was killed for memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


def cpu_quota() -> float | None:
    """Returns how many cores' worth of time may be used; None where that is not bounded."""
    found: list[float] = []
    for group in _groups("cpu"):
        words = (_lines(group / "cpu.max") or [""])[0].split()
        if len(words) != 2:
            words = [(_lines(group / name) or [""])[0] for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")]
        if words[0].isdigit() and words[1].isdigit():
            found.append(int(words[0]) / int(words[1]))
    return min(found, default=None)


def available_memory() -> int | None:
    """Returns the bytes that may still be taken, of the machine or of the container; None where that is unknown."""
    found = [int(line.split()[1]) * 1024 for line in _lines(Path("/proc/meminfo")) if line.startswith("MemAvailable:")]
    for group in _groups("memory"):
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            most, taken = _lines(group / limit), _lines(group / used)
            if most and taken and most[0].isdigit():
                found.append(max(0, int(most[0]) - int(taken[0])))
    return min(found, default=None)


def killed_for_memory() -> int:
    """Returns how often the system has killed a process for want of memory: in this container, or at all."""
    files = [group / name for group in _groups("memory") for name in ("memory.events", "memory.oom_control")]
    for path in (*files, Path("/proc/vmstat")):
        for line in _lines(path):
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _groups(controller: str) -> Iterator[Path]:
    """Yields the folders of this process's group and of those around it; a bound of any of them counts."""
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, name = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = _ROOT / controller if controllers else _ROOT
        group = root / name.strip("/")
        yield group
        while group != root:
            group = group.parent
            yield group


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
