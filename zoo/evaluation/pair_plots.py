"""The pictures of an embedding's report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from zoo.plot_style import BLUE, GREY, ORANGE, dress, legend, new_figure, save_figure

_DRAWN_POINTS = 20_000  # more dots only hide each other
_BINS = 10


def plot_cosines(scores: NDArray[Any], cosines: NDArray[Any], path: Path) -> None:
    """Draws the cosine of each pair over its score, and the mean cosine along the scores.

    Args:
        scores: [N], from 0 to 1.
        cosines: [N].
        path: The PNG to write.
    """
    figure = new_figure(6.0, 4.4)
    axes = figure.add_subplot()
    kept = np.linspace(0, len(scores) - 1, min(len(scores), _DRAWN_POINTS)).astype(np.int64)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="cosine = score")
    axes.scatter(scores[kept], cosines[kept], s=12 if len(kept) < 1000 else 5, color=BLUE, linewidths=0,
                 alpha=0.7 if len(kept) < 1000 else 0.3)
    bins = np.minimum((scores * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    held = counts > 0
    axes.plot(np.bincount(bins, scores, _BINS)[held] / counts[held],
              np.bincount(bins, cosines, _BINS)[held] / counts[held], color=ORANGE, linewidth=1.8, marker="o",
              markersize=4, label="mean")
    dress(axes, title="Cosines and scores", x="score", y="cosine of the two texts")
    legend(axes, loc="upper left")
    save_figure(figure, path)


def plot_recall(recall: Sequence[float], candidates: int, path: Path) -> None:
    """Draws the share of texts whose partner is among the nearest k, over k.

    Args:
        recall: The share for k = 1, 2 and so on.
        candidates: Among how many the partner is searched.
        path: The PNG to write.
    """
    figure = new_figure(6.0, 3.6)
    axes = figure.add_subplot()
    places = np.arange(1, len(recall) + 1)
    axes.plot(places, recall, color=BLUE, linewidth=1.8, marker="o", markersize=3.5, label="model")
    axes.plot(places, places / candidates, color=GREY, linestyle="--", linewidth=1, label="chance")
    dress(axes, title=f"Partner among the nearest k of {candidates:,}", x="k", y="share of the texts")
    axes.set_ylim(-0.02, 1.04)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(axes, loc="best")
    save_figure(figure, path)
