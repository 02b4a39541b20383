"""The part of the model card about the exports that were compared before this one was published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_GOALS = {"latency": "the fewest milliseconds of a call of {least}", "size": "the fewest bytes that a server reads",
          "throughput": "the most examples per second in calls of {most}"}


def compared_exports(optimization: Mapping[str, Any]) -> Iterator[str]:
    """Yields the lines of the section.

    Args:
        optimization: Of the manifest, with a `selection`; see `serving.export.candidates.described`.
    """
    selection = optimization["selection"]
    machine = selection["machine"]
    if not selection["rounds"]:
        yield f"`{optimization['asked']}` was asked for, and there was nothing to compare."
    else:
        goal = _GOALS[selection["objective"]].format(least=min(selection["batches"]), most=max(selection["batches"]))
        yield (f"`{optimization['asked']}` was asked for: {goal}, with at most {selection['tolerance']:.2%} of "
               f"{selection['metric']} lost on {selection['examples']} validation examples. Times are medians of "
               f"{selection['rounds']} rounds in which clean processes took turns, on {machine['cpus']} processors of "
               f"{machine['processor']}; preprocessing is part of a call.")
        yield ""
        yield from _table(selection)
    yield ""
    for candidate in selection["candidates"]:
        yield f"- {candidate['name']}: {'published' if candidate['chosen'] else candidate['reason']}"


def _table(selection: Mapping[str, Any]) -> Iterator[str]:
    columns, unit = ["export"], "ms a token" if selection.get("per") == "token" else "ms"
    for batch in selection["batches"]:
        columns += [f"{unit}, {batch} at once", "99 of 100", "times as fast (95%)"]
    columns += ["MB", "MB of memory", selection["metric"], "same label as the plain one"]
    yield f"| {' | '.join(columns)} |"
    yield f"|{' --- |' * len(columns)}"
    for candidate in selection["candidates"]:
        if candidate["latency"]:
            yield f"| {' | '.join(_cells(candidate))} |"


def _cells(candidate: Mapping[str, Any]) -> Iterator[str]:
    yield f"**{candidate['name']}**" if candidate["chosen"] else candidate["name"]
    for latency in candidate["latency"]:
        yield f"{latency['median_ms']:g}"
        yield f"{latency['p99_ms']:g}"
        known = latency["low"] is not None
        yield f"{latency['times_as_fast']:.2f}" + (f" ({latency['low']:.2f} to {latency['high']:.2f})" if known else "")
    yield f"{candidate['size_mb']:g}"
    yield f"{candidate['memory_mb']:g}"
    yield "" if candidate["metric"] is None else f"{candidate['metric']:.4g}"
    yield "" if candidate["agreement"] is None else f"{candidate['agreement']:.2%}"
