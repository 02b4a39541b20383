"""How the cores, the memory and the graphics cards of this machine are shared out to trials that run at once."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from dataclasses import dataclass
from pathlib import Path

from tuning.executors.container import available_memory, cpu_quota
from zoo.errors import ArgumentError

# Up to this many cores a trial has one of its own: small models gain little from a second. Above, each has two.
_ONE_EACH_UP_TO = 4
# What a small training in TensorFlow needs at the least: more trials at once than fit would only end each other.
_BYTES_PER_TRIAL = 1_500_000_000


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one of the trials that run at once may use.

    Attributes:
        cores: The cores it is bound to; empty where it is bound to none.
        threads: Threads that compute one operation.
        gpu: The one graphics card that it sees, as `CUDA_VISIBLE_DEVICES` names it; "" where none is.
    """

    cores: tuple[int, ...] = ()
    threads: int = 1
    gpu: str = ""


def shares(jobs: int | None = None) -> tuple[Share, ...]:
    """Shares this machine out to trials that run at once.

    Args:
        jobs: How many run at once; None takes one per graphics card, or else one per core (up to four cores) or per
            two cores, as far as there is memory for them.

    Returns:
        For each a share. The cores of two shares are disjoint where there are as many cores as jobs. Nobody is bound
        to cores where the system cannot, or where a container may use a part of their time and not certain ones.

    Raises:
        ArgumentError: `jobs` is no number above 0.
    """
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise ArgumentError(f"`jobs` is how many trials run at once, a whole number above 0. Received: {jobs!r}")
    gpus, cores = visible_gpus(), usable_cores()
    count = jobs or len(gpus) or _default_jobs(len(cores))
    quota = cpu_quota()
    if not hasattr(os, "sched_setaffinity") or (quota is not None and quota < len(cores)):
        within = min(len(cores), math.ceil(quota)) if quota is not None else len(cores)
        free = Share(threads=max(1, within // count))
        found = [free] * count
    else:
        found = [Share(cores=block, threads=len(block)) for block in divided(cores, count)]
    return tuple(dataclasses.replace(share, gpu=gpus[number % len(gpus)] if gpus else "")
                 for number, share in enumerate(found))


def divided(cores: tuple[int, ...], count: int) -> tuple[tuple[int, ...], ...]:
    """Divides cores into blocks of neighbours, as equal as may be; with too few of them each is given several times.

    Args:
        cores: The cores.
        count: How many blocks.
    """
    if count > len(cores):
        return tuple((cores[number % len(cores)],) for number in range(count))
    edges = [number * len(cores) // count for number in range(count + 1)]
    return tuple(cores[low:high] for low, high in itertools.pairwise(edges))


def usable_cores() -> tuple[int, ...]:
    """Returns the cores that this process may run on; those of one physical core stand side by side."""
    if not hasattr(os, "sched_getaffinity"):
        return tuple(range(os.cpu_count() or 1))
    return tuple(sorted(os.sched_getaffinity(0), key=lambda core: (*_place(core), core)))


def visible_gpus() -> tuple[str, ...]:
    """Returns NVIDIA's cards that TensorFlow would see, named as `CUDA_VISIBLE_DEVICES` names them.

    No library is asked: a driver that was begun cannot be taken along into a forked process.
    """
    return cards(os.environ.get("CUDA_VISIBLE_DEVICES"), len(list(Path("/dev").glob("nvidia[0-9]*"))))


def cards(named: str | None, present: int) -> tuple[str, ...]:
    """Returns the cards that a value of `CUDA_VISIBLE_DEVICES` leaves.

    Args:
        named: The variable's value; None where it is not set.
        present: How many cards the machine has.
    """
    if named is None or not present:
        return tuple(str(number) for number in range(present))
    names = (part.strip() for part in named.split(","))
    # The driver ends the list at the first that is none.
    return tuple(itertools.takewhile(lambda name: name and not name.startswith("-"), names))


def _default_jobs(cores: int) -> int:
    jobs = cores if cores <= _ONE_EACH_UP_TO else max(_ONE_EACH_UP_TO, cores // 2)
    memory = available_memory()
    return jobs if memory is None else max(1, min(jobs, memory // _BYTES_PER_TRIAL))


def _place(core: int) -> tuple[int, int]:
    folder = Path(f"/sys/devices/system/cpu/cpu{core}/topology")
    try:
        return int((folder / "physical_package_id").read_text()), int((folder / "core_id").read_text())
    except (OSError, ValueError):
        return 0, 0
