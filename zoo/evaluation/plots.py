"""The plots of a report, one function per picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from zoo.evaluation.calibration import Calibration
from zoo.evaluation.confusion import Confusion
from zoo.plot_style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    dress,
    legend,
    names_of,
    new_figure,
    printable,
    save_figure,
)

_NUMBERED_CLASSES = 20  # counts in the cells of a larger matrix are not legible
_DRAWN_POINTS = 20_000  # more dots only hide each other
_OUTPUTS = 4
_CURVES = 9
_LONGEST_NAME = 24


# === Classes ===


def plot_confusion(confusion: Confusion, path: Path) -> None:
    """Draws the confusion matrix, coloured by the share of the true class.

    Args:
        confusion: Counts of at most a few dozen classes.
        path: The PNG to write.
    """
    count = len(confusion.labels)
    names = names_of(confusion.labels, _LONGEST_NAME)
    cell = 0.62 if count <= 6 else 0.48 if count <= _NUMBERED_CLASSES else 0.3
    margin = 1.6 + 0.07 * max(map(len, names))
    side = max(3.2, cell * count)
    figure = new_figure(side + margin + 0.9, side + margin)
    axes = figure.add_subplot()
    shares = confusion.matrix / np.maximum(confusion.matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    dress(axes, title="Confusion matrix", x="predicted", y="true", grid=False)
    short = 0.075 * max(map(len, names)) < side / count  # inches of a name, of a cell
    axes.set_xticks(range(count), names, rotation=0 if short else 45, ha="center" if short else "right",
                    rotation_mode="anchor" if not short else None)
    axes.set_yticks(range(count), names)
    axes.set_xticks(np.arange(1, count) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, count) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.0)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    if count <= _NUMBERED_CLASSES:
        _write_counts(axes, confusion.matrix, shares)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03, format=PercentFormatter(1.0, decimals=0))
    bar.set_label("share of the true class", fontsize=8, color=INK)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)
    save_figure(figure, path)


def _write_counts(axes: Axes, matrix: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    for (row, column), number in np.ndenumerate(matrix):
        if number:
            text = f"{number}" if number < 10_000 else f"{number / 1000:.0f}k"
            axes.text(column, row, text, ha="center", va="center", fontsize=8 if len(text) < 4 else 7,
                      color="white" if shares[row, column] > 0.55 else INK)


def plot_most_confused(confusion: Confusion, path: Path) -> None:
    """Draws the most frequent mistakes as bars; works for any number of classes.

    Args:
        confusion: Counts with at least one mistake.
        path: The PNG to write.
    """
    pairs = confusion.most_confused()
    names = [f"{printable(pair.truth, _LONGEST_NAME)} → {printable(pair.predicted, _LONGEST_NAME)}" for pair in pairs]
    figure = new_figure(5.5 + 0.06 * max(map(len, names)), 1.3 + 0.26 * len(pairs))
    axes = figure.add_subplot()
    bars = axes.barh(range(len(pairs)), [pair.count for pair in pairs], color=BLUE, height=0.7)
    axes.bar_label(bars, [f"{pair.count} ({pair.share:.0%} of the class)" for pair in pairs], padding=4, fontsize=7,
                   color=GREY)
    dress(axes, title="Most frequent mistakes (true → predicted)", x="examples")
    axes.set_yticks(range(len(pairs)), names)
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    save_figure(figure, path)


def plot_reliability(calibration: Calibration, path: Path) -> None:
    """Draws stated probability against observed frequency, and how many examples each bin holds.

    Args:
        calibration: The reliability table.
        path: The PNG to write.
    """
    rows = [row for row in calibration.bins if row.count]
    figure = new_figure(5.2, 5.8)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    confidence = np.array([row.confidence for row in rows], dtype=np.float64)
    frequency = np.array([row.frequency for row in rows], dtype=np.float64)
    upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfect")
    upper.vlines(confidence, confidence, frequency, color=ORANGE, linewidth=2, alpha=0.7, label="gap")
    upper.plot(confidence, frequency, marker="o", markersize=5, color=BLUE, linewidth=1.5, label="model")
    dress(upper, title=f"Probability of {printable(calibration.of, 40)}", y="share that came true")
    upper.set_xlim(-0.02, 1.02)
    upper.set_ylim(-0.02, 1.02)
    legend(upper, loc="upper left")
    width = 1.0 / len(calibration.bins)
    lower.bar([row.low + width / 2 for row in calibration.bins], [row.count for row in calibration.bins],
              width=0.9 * width, color=BLUE)
    dress(lower, x="stated probability", y="examples")
    lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    save_figure(figure, path)


def plot_ranking_curves(targets: NDArray[Any], probabilities: NDArray[Any], threshold: float, path: Path) -> None:
    """Draws the ROC curve and precision over recall, with the point of the threshold.

    Args:
        targets: 0 or 1, [N], both occurring.
        probabilities: Of class 1, [N].
        threshold: The one in use, in [0, 1].
        path: The PNG to write.
    """
    figure = new_figure(9.2, 4.4)
    left, right = figure.subplots(1, 2)
    said, true = probabilities >= np.float32(threshold), targets == 1
    hits, share = (said & true).sum(), true.mean()
    alarms, recall, _ = roc_curve(targets, probabilities)
    left.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="chance")
    left.plot(alarms, recall, color=BLUE, linewidth=1.8, label="model")
    left.plot((said & ~true).sum() / (~true).sum(), hits / true.sum(), "o", color=ORANGE, zorder=3,
              label=f"threshold {threshold:.3g}", linestyle="none")
    dress(left, title="ROC", x="false positives of all negatives", y="true positives of all positives (recall)")
    legend(left, loc="lower right")
    precision, recall, _ = precision_recall_curve(targets, probabilities)
    right.axhline(share, color=GREY, linestyle="--", linewidth=1, label=f"chance ({share:.1%} positive)")
    right.step(recall, precision, where="post", color=BLUE, linewidth=1.8, label="model")
    if said.any():
        right.plot(hits / true.sum(), hits / said.sum(), "o", color=ORANGE, zorder=3, linestyle="none",
                   label=f"threshold {threshold:.3g}")
    dress(right, title="Precision over recall", x="recall", y="precision")
    legend(right, loc="lower left")
    for axes in (left, right):
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.04)
    save_figure(figure, path)


# === Numbers ===


def plot_regression(targets: NDArray[Any], predicted: NDArray[Any], labels: Sequence[str], path: Path) -> None:
    """Draws predicted over true values and the residuals, for the first few outputs.

    Args:
        targets: [N, k].
        predicted: [N, k].
        labels: k names.
        path: The PNG to write.
    """
    count = min(len(labels), _OUTPUTS)
    figure = new_figure(11.4, 3.6 * count)
    grid = figure.subplots(count, 3, squeeze=False)
    kept = np.linspace(0, len(targets) - 1, min(len(targets), _DRAWN_POINTS)).astype(np.int64)
    for row, (scatter, over, spread) in enumerate(grid):
        true = targets[kept, row].astype(np.float64)
        said = predicted[kept, row].astype(np.float64)
        all_residuals = predicted[:, row].astype(np.float64) - targets[:, row]
        name = "" if len(labels) == 1 else f"{printable(labels[row], _LONGEST_NAME)}: "
        dots: dict[str, Any] = {"s": 12 if len(kept) < 1000 else 5, "color": BLUE, "linewidths": 0,
                                "alpha": 0.7 if len(kept) < 1000 else 0.3}
        ends = [min(true.min(), said.min()), max(true.max(), said.max())]
        scatter.plot(ends, ends, color=GREY, linestyle="--", linewidth=1)
        scatter.scatter(true, said, **dots)
        dress(scatter, title=f"{name}predicted and true", x="true", y="predicted")
        over.axhline(0.0, color=GREY, linestyle="--", linewidth=1)
        over.scatter(said, said - true, **dots)
        dress(over, title=f"{name}residuals", x="predicted", y="predicted - true")
        spread.hist(all_residuals, bins=_histogram_edges(all_residuals), color=BLUE)
        spread.axvline(0.0, color=GREY, linestyle="--", linewidth=1)
        dress(spread, title=f"{name}spread of the residuals", x="predicted - true", y="examples")
        for axes in (scatter, over, spread):
            axes.xaxis.set_major_locator(MaxNLocator(5))
    save_figure(figure, path)


def _histogram_edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns up to 41 edges; equal values get one bin wide enough to be seen and to be told from its edges."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
        half = max(abs(low), 1.0) / 2
        return np.array([low - half, low + half])
    return np.linspace(low, high, int(np.clip(np.sqrt(values.size), 5, 40)) + 1)


# === Training ===


def plot_loss_by_place(losses: Sequence[float], path: Path) -> None:
    """Draws how much a language model gains from what stands before.

    Args:
        losses: Mean loss in nats at each place of a block.
        path: The PNG to write.
    """
    figure = new_figure(6.0, 3.4)
    axes = figure.add_subplot()
    axes.plot(np.arange(len(losses)), losses, color=BLUE, linewidth=1.6)
    dress(axes, title="Loss by the number of tokens before", x="tokens of the block before it", y="nats per token")
    axes.set_ylim(bottom=0.0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    save_figure(figure, path)


def plot_history(history: Sequence[Mapping[str, float]], path: Path) -> bool:
    """Draws each quantity of a training run over its epochs, with its validation value in the same picture.

    Args:
        history: One mapping per epoch; "val_x" belongs to "x", "epoch" is the abscissa if it is there.
        path: The PNG to write.

    Returns:
        Whether there was anything to draw.
    """
    names = _quantities(history)
    if not names:
        return False
    epochs = np.array([float(row.get("epoch", i + 1)) for i, row in enumerate(history)])
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(4.2 * columns + 0.4, 3.1 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, name in zip(grid, names, strict=False):
        _draw_quantity(axes, history, epochs, name)
    for axes in grid[len(names):]:
        axes.set_visible(False)
    save_figure(figure, path)
    return True


def _quantities(history: Sequence[Mapping[str, float]]) -> list[str]:
    """Returns what can be drawn, the loss first and the learning rate last."""
    keys = {key for row in history for key, value in row.items()
            if isinstance(value, int | float | np.number) and not isinstance(value, bool) and key != "epoch"}
    names = {key.removeprefix("val_") for key in keys}
    return sorted(names, key=lambda name: (name != "loss", name == "learning_rate", name))[:_CURVES]


def _draw_quantity(axes: Axes, history: Sequence[Mapping[str, float]], epochs: NDArray[np.float64],
                   name: str) -> None:
    series = {kind: np.array([row.get(key, np.nan) for row in history], dtype=np.float64)
              for kind, key in (("training", name), ("validation", f"val_{name}"))}
    for (kind, values), colour in zip(series.items(), (BLUE, ORANGE), strict=True):
        if np.isfinite(values).any():
            axes.plot(epochs, np.where(np.isfinite(values), values, np.nan), color=colour, linewidth=1.6, label=kind,
                      marker="o" if len(epochs) < 30 else None, markersize=3.5)
    known = np.concatenate(list(series.values()))
    known = known[np.isfinite(known)]
    if name in ("learning_rate", "loss") and known.size and known.min() > 0 and known.max() > 30 * known.min():
        axes.set_yscale("log")
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
    dress(axes, title=printable(name.replace("_", " "), _LONGEST_NAME), x="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if np.isfinite(series["validation"]).any():
        legend(axes)
