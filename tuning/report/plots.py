"""The plots of a search: history, learning curves, parallel coordinates, importance, and objectives together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from tuning.objectives import Objective
from tuning.study.pareto import measure_of
from tuning.trial import Trial
from zoo.plot_style import BLUE, GREY, INK, ORANGE, dress, legend, new_figure, printable, save_figure

if TYPE_CHECKING:
    from tuning.report.search_report import SearchReport

_LINES = 400  # more lines than this are a blot; the best and an even choice of the others are drawn
_MARKS = {"completed": ("o", BLUE, "completed"), "stopped": ("v", GREY, "stopped early"),
          "infeasible": ("x", GREY, "outside the constraints"), "failed": ("x", GREY, "failed")}


def draw_history(report: SearchReport, path: Path) -> bool:
    """Draws each trial's result and the best so far, by trial and by time.

    Args:
        report: The report.
        path: Where the PNG goes.

    Returns:
        Whether there was anything to draw.
    """
    steps = [step for step in report.steps if step.value is not None]
    if not steps:
        return False
    objective = report.config.objectives[0]
    figure = new_figure(10, 4)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, along, words in ((panels[0], "number", "ended trials"), (panels[1], "minutes", "minutes")):
        for status, (mark, colour, label) in _MARKS.items():
            chosen = [step for step in steps if step.status == status]
            if chosen:
                axes.scatter([getattr(step, along) for step in chosen], [step.value for step in chosen], s=22,
                             marker=mark, color=colour, alpha=0.7, label=label)
        best = [step for step in report.steps if step.best is not None]
        if best:
            axes.step([getattr(step, along) for step in best], [step.best for step in best], where="post", color=ORANGE,
                      linewidth=2, label="best so far")
        dress(axes, x=words, y=printable(objective.name) if axes is panels[0] else "")
    _limit(panels[0], [step.value for step in steps if step.value is not None], objective)
    panels[0].set_title("History", fontsize=11, color=INK, loc="left")
    legend(panels[1])
    save_figure(figure, path)
    return True


def draw_curves(report: SearchReport, path: Path) -> bool:
    """Draws the first objective by epoch for every trial, the best one on top.

    Args:
        report: The report.
        path: Where the PNG goes.

    Returns:
        Whether there was anything to draw; a measure that is taken only at the end has no curve.
    """
    name = report.config.objectives[0].name
    drawn = [(trial, [(entry.epoch, entry.values[name]) for entry in trial.history
                      if entry.execution == 0 and name in entry.values]) for trial in _chosen(report)]
    drawn = [(trial, points) for trial, points in drawn if points]
    if not drawn:
        return False
    figure = new_figure(8, 4.5)
    axes = figure.subplots()
    best = report.best.id if report.best else ""
    for trial, points in sorted(drawn, key=lambda pair: pair[0].id == best):
        look: dict[str, Any] = {"color": GREY if trial.status == "stopped" else BLUE, "linewidth": 1, "alpha": 0.45}
        if trial.id == best:
            look = {"color": ORANGE, "linewidth": 2.2, "label": f"trial {trial.id}, the best"}
        axes.plot(*zip(*points, strict=True), marker="." if len(points) == 1 else None, **look)
    dress(axes, title="Learning curves", x="epoch", y=printable(name))
    _limit(axes, [value for _, points in drawn for _, value in points], report.config.objectives[0])
    if best:
        legend(axes)
    save_figure(figure, path)
    return True


def draw_parallel(report: SearchReport, path: Path) -> bool:
    """Draws a line for each trial through its hyperparameters, coloured by the result.

    Args:
        report: The report.
        path: Where the PNG goes.

    Returns:
        Whether there was anything to draw.
    """
    objective = report.config.objectives[0]
    trials = [trial for trial in _chosen(report) if trial.has_ended and np.isfinite(measure_of(trial, objective))]
    if len(trials) < 2 or not report.axes:
        return False
    losses = np.array([objective.loss(measure_of(trial, objective)) for trial in trials])
    ranks = np.argsort(np.argsort(-losses, kind="stable"), kind="stable") / max(1, len(trials) - 1)  # best is 1
    spread = np.random.default_rng(0).uniform(-0.5, 0.5, (len(trials), len(report.axes)))
    places = np.array([[axis.unit(trial.values.get(axis.name)) + (0.5 * jitter / len(axis.choices) if axis.choices
                                                                  else 0.0)
                        for axis, jitter in zip(report.axes, row, strict=True)]
                       for trial, row in zip(trials, spread, strict=True)])
    columns = np.hstack([places, ranks[:, None]])
    figure = new_figure(max(7.0, 1.5 * columns.shape[1]), 4.6)
    axes = figure.subplots()
    order = np.argsort(ranks, kind="stable")
    lines = [np.column_stack([np.arange(columns.shape[1]), columns[i]]) for i in order]
    axes.add_collection(LineCollection(lines, colors=colormaps["viridis_r"](ranks[order]), linewidths=1.3, alpha=0.75))
    values = np.sort([measure_of(trial, objective) for trial in trials])
    if objective.direction == "min":
        values = values[::-1]
    labels = [axis.ticks() for axis in report.axes] + [[(0.0, f"{values[0]:.4g}"), (1.0, f"{values[-1]:.4g}")]]
    for column, ticks in enumerate(labels):
        axes.axvline(column, color=GREY, linewidth=0.8)
        for place, words in ticks:
            axes.text(column + 0.03, place, printable(words, 18), fontsize=7, color=INK, va="center",
                      bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.5})
    axes.set_xlim(-0.1, columns.shape[1] - 0.6)
    axes.set_ylim(-0.04, 1.04)
    dress(axes, title="Hyperparameters and result (rank)", grid=False)
    names = [axis.name for axis in report.axes] + [objective.name]
    axes.set_xticks(range(len(names)), [printable(name, 20) for name in names], rotation=20, ha="right")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    save_figure(figure, path)
    return True


def draw_importance(report: SearchReport, path: Path) -> bool:
    """Draws the share of variance of each hyperparameter and of the strongest pairs.

    Args:
        report: The report.
        path: Where the PNG goes.

    Returns:
        Whether there was anything to draw.
    """
    found = report.importance
    if not found.shares:
        return False
    rows = [(name, share, BLUE) for name, share in found.shares.items()]
    rows += [(f"{first} with {second}", share, GREY) for (first, second), share in found.pairs.items() if share >= 0.01]
    rows.sort(key=lambda row: row[1])
    figure = new_figure(7.5, 1.2 + 0.3 * len(rows))
    axes = figure.subplots()
    axes.barh(range(len(rows)), [share for _, share, _ in rows], color=[colour for _, _, colour in rows], height=0.7)
    for place, (_, share, _) in enumerate(rows):
        axes.text(share + 0.005, place, f"{share:.1%}", va="center", fontsize=8, color=INK)
    dress(axes, title="Importance (two together: grey)",
          x=f"share of the variance of {printable(report.config.objectives[0].name)}")
    axes.set_yticks(range(len(rows)), [printable(name, 40) for name, _, _ in rows])
    axes.set_xlim(0, max(share for _, share, _ in rows) * 1.15 + 0.01)
    save_figure(figure, path)
    return True


def draw_front(report: SearchReport, path: Path) -> bool:
    """Draws the trials by each two objectives, with the Pareto front and the constraints.

    Args:
        report: The report.
        path: Where the PNG goes.

    Returns:
        Whether there was anything to draw.
    """
    objectives = report.config.objectives
    trials = [trial for trial in report.trials if trial.has_ended
              and all(np.isfinite(measure_of(trial, objective)) for objective in objectives)]
    if len(objectives) < 2 or not trials:
        return False
    pairs = list(itertools.combinations(objectives, 2))
    figure = new_figure(5.5 * len(pairs) + 1, 4.6)
    best = {trial.id for trial in report.front}
    for axes, (upright, level) in zip(figure.subplots(1, len(pairs), squeeze=False)[0], pairs, strict=True):
        for status, (mark, colour, label) in _MARKS.items():
            chosen = [trial for trial in trials if trial.status == status and trial.id not in best]
            _points(axes, chosen, level, upright, marker=mark, color=colour, alpha=0.6, s=24, label=label)
        _points(axes, list(report.front), level, upright, color=ORANGE, s=44, label="Pareto front", zorder=3)
        if len(pairs) == 1:
            line = sorted((measure_of(trial, level), measure_of(trial, upright)) for trial in report.front)
            if line:
                axes.step(*zip(*line, strict=True), color=ORANGE, linewidth=1.2,
                          where="post" if level.direction == "min" else "pre")
        for constraint in report.config.constraints:
            if constraint.name == level.name:
                axes.axvline(constraint.bound, color=INK, linewidth=1, linestyle="--", label=str(constraint))
            elif constraint.name == upright.name:
                axes.axhline(constraint.bound, color=INK, linewidth=1, linestyle="--", label=str(constraint))
        dress(axes, title="Objectives", x=printable(str(level)), y=printable(str(upright)))
        legend(axes)
    save_figure(figure, path)
    return True


PLOTS: Mapping[str, Callable[[SearchReport, Path], bool]] = MappingProxyType({
    "history.png": draw_history, "curves.png": draw_curves, "parallel.png": draw_parallel,
    "importance.png": draw_importance, "front.png": draw_front})
"""Every plot by its file name."""


def _points(axes: Axes, trials: list[Trial], level: Objective, upright: Objective, **look: Any) -> None:
    if trials:
        axes.scatter([measure_of(trial, level) for trial in trials], [measure_of(trial, upright) for trial in trials],
                     **look)


def _chosen(report: SearchReport) -> list[Trial]:
    """Returns the trials to draw: all, or the best half and an even choice of the others."""
    if len(report.trials) <= _LINES:
        return list(report.trials)
    objective = report.config.objectives[0]
    ranked = sorted(report.trials, key=lambda trial: objective.loss(measure_of(trial, objective)))
    others = ranked[_LINES // 2:]
    return ranked[:_LINES // 2] + others[::-(-len(others) // (_LINES // 2))]


def _limit(axes: Axes, values: list[float], objective: Objective) -> None:
    """Keeps a few results that went astray from pressing all the others into a line."""
    finite = np.array([value for value in values if np.isfinite(value)])
    if not len(finite):
        return
    low, high = np.quantile(finite, (0.25, 0.75))
    reach = 3.0 * (high - low)
    if objective.direction == "min" and high + reach < finite.max() and reach > 0:
        axes.set_ylim(top=high + reach)
    if objective.direction == "max" and low - reach > finite.min() and reach > 0:
        axes.set_ylim(bottom=low - reach)
