"""Bounds of a container, taken from a real one where this user may make it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tuning.executors.errand_search import REPOSITORY, wait_for
from tuning.executors.container import available_memory, cpu_quota, killed_for_memory

ROOT = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def group(controller: str, bounds: dict[str, str], unified: dict[str, str]) -> Iterator[Path]:
    """A group of processes with bounds, within the one that this process is in."""
    folder = None
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, name = line.split(":", 2)
        if controller in controllers.split(","):
            folder, given = ROOT / controller / name.strip("/"), bounds
            break
        if not controllers:
            folder, given = ROOT / name.strip("/"), unified
    made = None if folder is None else folder / f"zoo-test-{os.getpid()}"
    try:
        assert made is not None
        made.mkdir()
        for file, value in given.items():
            (made / file).write_text(value)
    except (OSError, AssertionError):
        if made is not None and made.exists():
            made.rmdir()
        pytest.skip(f"this user may make no group of processes with bounds of {controller}")
    yield made

    def gone() -> bool:
        with contextlib.suppress(OSError):
            made.rmdir()
        return not made.exists()

    wait_for(gone)


def inside(folder: Path, code: str, *arguments: object) -> str:
    """Runs code in a group and returns what it prints."""
    enter = "import os, sys; open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid())); "
    run = subprocess.run([sys.executable, "-c", enter + code, str(folder), *map(str, arguments)], cwd=REPOSITORY,
                         capture_output=True, text=True, timeout=60, check=True)
    return run.stdout.strip()


def test_memory_that_may_be_taken_is_known() -> None:
    """It is more than nothing, and not more than the machine has."""
    available = available_memory()
    assert available is not None
    assert 0 < available <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_deaths_for_want_of_memory_are_counted() -> None:
    """The system's count is a number, and the death of a process that was merely killed is not in it."""
    before = killed_for_memory()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as begun:
        begun.kill()
    assert before >= 0
    assert killed_for_memory() == before


def test_a_bound_of_time_is_seen() -> None:
    """In a group that may use one and a half cores that is the quota, and a quota is no reason to bind cores."""
    quota = cpu_quota()
    assert quota is None or quota > 0
    with group("cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "150000"},
               {"cpu.max": "150000 100000"}) as folder:
        assert inside(folder, "from tuning.executors.container import cpu_quota; print(cpu_quota())") == "1.5"
        if len(os.sched_getaffinity(0)) >= 2:
            assert inside(folder, "from tuning.executors.cores import shares; "
                          "print([(share.cores, share.threads) for share in shares(1)])") == "[((), 2)]"


def test_the_system_kills_trials_before_the_search(tmp_path: Path) -> None:
    """In a group of 500 MB a trial that takes 2 GB is recorded as out of memory; all else goes on."""
    bound = str(500_000_000)
    with group("memory", {"memory.limit_in_bytes": bound}, {"memory.max": bound, "memory.swap.max": "0"}) as folder:
        found = inside(folder, "from pathlib import Path; "
                       "from tests.tuning.executors.errand_search import run_errands; "
                       "from tuning.executors.container import available_memory; "
                       "print(available_memory() < 5e8); "
                       "trials = run_errands(Path(sys.argv[2]), ['train 0.1', 'eat 2000', 'train'], jobs=2); "
                       "print([(trial.status, trial.kind) for trial in trials])", tmp_path)
    assert found.splitlines() == ["True", str([("completed", ""), ("failed", "memory"), ("completed", "")])]
