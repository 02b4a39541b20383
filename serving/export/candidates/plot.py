"""The candidates as a picture: time against the loss of quality, the Pareto front joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.ticker import PercentFormatter

from zoo.plot_style import BLUE, GREY, INK, ORANGE, dress, legend, new_figure, printable, save_figure


def plot_candidates(selection: Mapping[str, Any], path: Path) -> None:
    """Draws a panel per size of call, and one for the size on disk.

    Args:
        selection: See `serving.export.candidates.described`.
        path: The PNG to write.
    """
    shown = [candidate for candidate in selection["candidates"] if candidate["latency"]]
    batches = selection["batches"]
    figure = new_figure(5.2 * (len(batches) + 1), 4.2)
    panels = figure.subplots(1, len(batches) + 1, squeeze=False)[0]
    for place, batch in enumerate(batches):
        _panel(panels[place], shown, [candidate["latency"][place]["median_ms"] for candidate in shown],
               f"Calls of {batch}", "median milliseconds", selection)
    _panel(panels[-1], shown, [candidate["size_mb"] for candidate in shown], "What a server reads", "megabytes",
           selection)
    save_figure(figure, path)


def _panel(axes: Any, shown: Sequence[Mapping[str, Any]], costs: Sequence[float], title: str, unit: str,
           selection: Mapping[str, Any]) -> None:
    drops = [candidate["drop"] or 0.0 for candidate in shown]
    axes.axhspan(selection["tolerance"], max([*drops, selection["tolerance"]]) * 1.3 + 0.001, color=ORANGE, alpha=0.08,
                 label="beyond the tolerance")
    for number, (candidate, cost, drop) in enumerate(zip(shown, costs, drops, strict=True)):
        chosen = candidate["chosen"]
        axes.scatter([cost], [drop], s=70 if chosen else 40, color=ORANGE if chosen else BLUE,
                     marker="*" if chosen else "o", zorder=3)
        # Candidates often lie side by side, so their names stand at four heights.
        axes.annotate(printable(candidate["name"], 30), (cost, drop), xytext=(4, 7 + 12 * (number % 4)),
                      textcoords="offset points", fontsize=8, color=INK)
    front = _lower_left(costs, drops)
    axes.plot([cost for cost, _ in front], [drop for _, drop in front], color=GREY, linewidth=1, label="Pareto front")
    axes.set_xlim(left=0, right=max(costs, default=1.0) * 1.2)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    dress(axes, title=title, x=unit, y=f"loss of {printable(selection['metric'])}")
    legend(axes, loc="upper right")


def _lower_left(costs: Sequence[float], drops: Sequence[float]) -> list[tuple[float, float]]:
    """The points that no other one beats in both, from the cheapest on."""
    front: list[tuple[float, float]] = []
    for cost, drop in sorted(zip(costs, drops, strict=True)):
        if not front or drop < front[-1][1]:
            front.append((cost, drop))
    return front
