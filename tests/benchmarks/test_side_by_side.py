from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks.engines.limits import least_seconds
from benchmarks.engines.table import ENGINES, NEEDS
from benchmarks.side_by_side import Worker, WorkerError

COUNTING = """
import json, sys, threading, time
count = 0
def go():
    global count
    while True:
        count += 1
        time.sleep(0.001)
threading.Thread(target=go, daemon=True).start()
for line in sys.stdin:
    if "fail" in line:
        sys.exit("it broke")
    print(json.dumps({"count": count, "asked": json.loads(line)}), flush=True)
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "counting.py"
    path.write_text(COUNTING)
    return str(path)


def test_a_worker_stands_still_between_two_questions(program: str) -> None:
    """What a process does on its own stops once it has answered, so that it takes no time from others."""
    with Worker([program], threads=1) as worker:
        first = worker.ask(question=1)
        assert first["asked"] == {"question": 1}
        time.sleep(0.5)
        standing = worker.ask(question=2)["count"] - first["count"]
        assert standing < 250  # of some 500 that it counts in this time


def test_a_worker_that_ends_tells_its_last_words(program: str) -> None:
    """A failure is an error with what the process said, not an endless wait."""
    with Worker([program], threads=1) as worker:
        worker.ask(question=1)
        with pytest.raises(WorkerError, match="it broke"):
            worker.ask(fail=True)


def test_a_worker_that_takes_too_long_is_an_error(tmp_path: Path) -> None:
    """Patience has an end."""
    (tmp_path / "slow.py").write_text("import time; time.sleep(60)")
    with Worker([str(tmp_path / "slow.py")], threads=1, patience=0.3) as worker, pytest.raises(WorkerError):
        worker.ask(question=1)


def test_the_limit_is_the_longer_one_of_arithmetic_and_reading() -> None:
    """A small batch waits for its weights, a large one for its products; fewer bits are read in less time."""
    limits = {"float32": 1e9, "bfloat16": 2e9, "int8": 4e9, "bytes": 1e8}
    assert least_seconds(1e6, 4e8, "float32", limits) == pytest.approx(4.0)
    assert least_seconds(1e6, 4e8, "int8", limits) == pytest.approx(1.0)
    assert least_seconds(8e9, 4e6, "bfloat16", limits) == pytest.approx(4.0)


def test_every_engine_has_a_loader_and_what_it_loads_can_be_prepared() -> None:
    """No name of the tables leads nowhere, and nothing waits for itself."""
    folder = Path(__file__).resolve().parents[2] / "benchmarks" / "engines"
    done: set[str] = set()
    for _ in NEEDS:
        done |= {name for name, needs in NEEDS.items() if set(needs) <= done}
    assert done == set(NEEDS)
    for engine in ENGINES.values():
        assert (folder / f"on_{engine.runtime}.py").is_file()
        assert engine.artifact in NEEDS
