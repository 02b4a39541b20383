"""The candidates as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.table import Table


def candidates_table(selection: Mapping[str, Any]) -> Table:
    """Returns the table: a row per candidate that was measured, the chosen one in bold.

    Columns: median and 99th percentile of the milliseconds of a call, and how many times as fast as the plain export
    that is, for each size of call; megabytes that a server reads; megabytes that a process grows by; the metric; the
    share of examples with the same label; whether it is on the Pareto front.

    Args:
        selection: Of a manifest, see `serving.export.candidates.described`.
    """
    table = Table(box=box.SIMPLE)
    table.add_column("candidate")
    unit = "ms a token" if selection.get("per") == "token" else "ms"
    for batch in selection["batches"]:
        table.add_column(f"{unit}, p99 of {batch}", justify="right")
        table.add_column("fast", justify="right")
    for name in ("MB", "RAM", selection["metric"] or "metric", "label"):
        table.add_column(name, justify="right")
    table.add_column("front")
    for candidate in selection["candidates"]:
        if candidate["latency"]:
            table.add_row(*_cells(candidate), style="bold" if candidate["chosen"] else None)
    return table


def reasons(selection: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line for each candidate: that it was chosen, or why not.

    Args:
        selection: As for `candidates_table`.
    """
    for candidate in selection["candidates"]:
        yield f"{candidate['name']}: {'chosen' if candidate['chosen'] else candidate['reason']}"


def _cells(candidate: Mapping[str, Any]) -> Iterator[str]:
    yield candidate["name"]
    for latency in candidate["latency"]:
        yield f"{latency['median_ms']:g}, {latency['p99_ms']:g}"
        yield f"{latency['times_as_fast']:.2f}x"
    yield f"{candidate['size_mb']:g}"
    yield f"{candidate['memory_mb']:g}"
    yield "" if candidate["metric"] is None else f"{candidate['metric']:.4f}"
    yield "" if candidate["agreement"] is None else f"{candidate['agreement']:.2%}"
    yield "yes" if candidate["on_front"] else ""
