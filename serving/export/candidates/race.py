"""Times versions against each other: each in a clean process, in rounds in which they take turns."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from serving.errors import ExportError
from serving.export.measuring_process import MeasuringProcess

_SEED = 6
# What must stay free beside all that wait for their turn.
_FREE_BYTES = 2 * 2**30
_MEMORY_FILE = Path("/proc/meminfo")

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Timing:
    """How fast a version is.

    Attributes:
        rounds: Median milliseconds of a call in each round, by the examples in it.
        calls: Milliseconds of every call, by the examples in it.
        memory_mb: Megabytes that loading and answering added to the process.
    """

    rounds: Mapping[int, Sequence[float]]
    calls: Mapping[int, Sequence[float]]
    memory_mb: float

    def median(self, rows: int) -> float:
        """The median milliseconds of a call, over the rounds."""
        return float(np.median(self.rounds[rows]))

    def p99(self, rows: int) -> float:
        """The milliseconds that 99 of 100 calls stay under."""
        return float(np.percentile(self.calls[rows], 99))


class _Lane:
    """One version's process and what was measured of it."""

    def __init__(self, folder: Path, batches: Sequence[int], threads: Mapping[str, int] | None) -> None:
        self.folder = folder
        self.threads = threads
        self.fault = ""
        self.process: MeasuringProcess | None = None
        self._batches = batches
        self._rounds: dict[int, list[float]] = {rows: [] for rows in batches}
        self._calls: dict[int, list[float]] = {rows: [] for rows in batches}
        self._memory_mb = 0.0

    @property
    def timing(self) -> Timing:
        return Timing(self._rounds, self._calls, self._memory_mb)

    def start(self) -> None:
        """Starts the process and has each size computed once; what fails is kept as the lane's fault."""
        self.process = MeasuringProcess(self.folder, self.threads)
        try:
            self.process.wait_until_ready()
            for rows in self._batches:
                self._ask(rows, 0.0)
        except ExportError as error:
            self.fault = str(error)
            self.stop()

    def turn(self, seconds: float) -> None:
        """Times each size."""
        try:
            for rows in self._batches:
                calls = self._ask(rows, seconds)
                self._calls[rows] += calls
                self._rounds[rows].append(float(np.median(calls)))
        except ExportError as error:
            self.fault = str(error)
            self.stop()

    def stop(self) -> None:
        if self.process is not None:
            self.process.__exit__(None, None, None)
            self.process = None

    def _ask(self, rows: int, seconds: float) -> list[float]:
        if self.process is None:
            raise ExportError("The measuring process is gone.")
        answer = self.process.ask(rows=rows, seconds=seconds)
        self._memory_mb = max(self._memory_mb, float(answer["memory_mb"]))
        return [float(value) for value in answer["milliseconds"]]


def race(folders: Mapping[str, Path], batches: Sequence[int], rounds: int, seconds: float,
         tell: Tell = lambda _: None, *, threads: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
         ) -> dict[str, Timing | str]:
    """Times versions in rounds; in each round each has a turn, in an order that is drawn anew.

    All processes wait with their version loaded. Where the memory does not suffice for that, each turn has a process of
    its own, which takes longer.

    Args:
        folders: The versions' folders by name.
        batches: Examples in the calls.
        rounds: How many rounds.
        seconds: How long a turn is, for each of `batches`.
        tell: Called with a line before each round.
        threads: What `MeasuringProcess` takes as such, by the names of those that are to have it.

    Returns:
        The timing by name, or in words why there is none.
    """
    lanes = {name: _Lane(folder, batches, threads.get(name)) for name, folder in folders.items()}
    order = random.Random(_SEED)
    with _started(lanes, tell) as waiting:
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            for name in order.sample(sorted(lanes), len(lanes)):
                lane = lanes[name]
                if lane.fault:
                    continue
                if not waiting:
                    lane.start()
                if not lane.fault:
                    lane.turn(seconds)
                if not waiting:
                    lane.stop()
    return {name: lane.fault or lane.timing for name, lane in lanes.items()}


@contextlib.contextmanager
def _started(lanes: Mapping[str, _Lane], tell: Tell) -> Iterator[bool]:
    """Starts all processes; gives whether there is the memory for them to wait in, and ends them."""
    try:
        for name, lane in lanes.items():
            tell(f"loading {name}")
            lane.start()
            if _available_bytes() < _FREE_BYTES:
                tell("memory is short: each turn gets a process of its own")
                for other in lanes.values():
                    other.stop()
                yield False
                return
        yield True
    finally:
        for lane in lanes.values():
            lane.stop()


def _available_bytes() -> float:
    """The memory that can be had without swapping; endless where the system does not say."""
    try:
        words = _MEMORY_FILE.read_text(encoding="ascii").split()
        return int(words[words.index("MemAvailable:") + 1]) * 1024
    except (OSError, ValueError):
        return float("inf")
