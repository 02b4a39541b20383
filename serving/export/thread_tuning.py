"""With how many threads a version is best served: one for each operation, or all processors for each; by measuring.

With one, operations are not handed over to other threads and waited for, and what there is to do at the same time are
other requests, and the parts of a request's rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import Any

from serving.errors import ExportError
from serving.export.candidates.race import Tell, Timing, race
from serving.export.row_parts import usable_cores

_ONE, _ALL = "one thread per operation", "all threads per operation"
_ROUNDS = 5
_SECONDS = 0.3
# By how much one thread must be faster to be written down: less than that is not to be told from chance.
_WORTH_WRITING = 1.03


def tuned_threads(folder: Path, cores: int, batches: Sequence[int], tell: Tell = lambda _: None) -> dict[str, Any]:
    """Times calls of a version in clean processes that take turns, with one thread for each operation and with all.

    Args:
        folder: The version's folder, with warm-up records.
        cores: The processors of the server.
        batches: Examples in a call, ascending; the first and the last are timed.
        tell: Called with a line now and then.

    Returns:
        "milliseconds" {which threads: {examples: median}}, "ratio" (how many times as fast one thread is, geometric
        mean over the sizes), and "threads" {"intra_op": 1, "inter_op": cores} where that is faster, {} where not;
        JSON-ready. Empty for one processor, where there is nothing to choose.

    Raises:
        ExportError: The server has more processors than this machine, or the version cannot be timed.
    """
    if cores == 1:
        return {}
    require_processors(cores)
    sizes = sorted({batches[0], batches[-1]})
    settings = {_ONE: {"intra_op": 1, "inter_op": cores}, _ALL: {"intra_op": cores, "inter_op": cores}}
    found = race(dict.fromkeys(settings, folder), sizes, _ROUNDS, _SECONDS, tell, threads=settings)
    medians: dict[str, dict[int, float]] = {}
    for name, timing in found.items():
        if not isinstance(timing, Timing):
            raise ExportError(f"The threads cannot be chosen, for the version cannot be timed: {timing}")
        medians[name] = {size: timing.median(size) for size in sizes}
    first, last = (medians[_ALL][size] / medians[_ONE][size] for size in (sizes[0], sizes[-1]))
    ratio = sqrt(first * last)
    return {"threads": settings[_ONE] if ratio > _WORTH_WRITING else {}, "ratio": float(f"{ratio:.3g}"),
            "milliseconds": {name: {str(size): float(f"{value:.3g}") for size, value in by_size.items()}
                             for name, by_size in medians.items()}}


def require_processors(cores: int) -> None:
    """Refuses to choose threads for a server with more processors than there are here.

    Raises:
        ExportError: It has more.
    """
    here = usable_cores(None)
    if cores > here:
        raise ExportError(f"Threads are chosen by timing them, and of the {cores} processors of the server there are "
                          f"{here} here. Export on a machine like the server, or without `tune_threads`.")
