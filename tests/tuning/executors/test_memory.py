"""What a trial takes, as the system tells it."""

from __future__ import annotations

import subprocess
import sys

from tuning.executors.memory import memory_of

TAKE = "import sys; kept = b'x' * {0}; print(flush=True); sys.stdin.read()"
HAVE_TAKEN = ("import subprocess, sys; begun = subprocess.Popen([sys.executable, '-c', sys.argv[1]]); "
              "sys.exit(begun.wait())")


def test_memory_of_what_a_process_began_counts() -> None:
    """A process that holds nothing itself counts with the 100 MB that its own process holds."""
    begun = subprocess.Popen([sys.executable, "-c", HAVE_TAKEN, TAKE.format(100_000_000)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    with begun:
        assert begun.stdin is not None
        assert begun.stdout is not None
        begun.stdout.readline()
        assert 100e6 < memory_of(begun.pid) < 200e6
        begun.stdin.close()
    assert memory_of(begun.pid) == 0
