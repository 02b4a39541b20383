"""The worst mistakes as one picture: a grid of the examples with what was said and what is true."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from numpy.typing import NDArray

from zoo.evaluation.mistakes import Mistake, PictureLoader, as_picture
from zoo.plot_style import GREY, INK, LIGHT, ORANGE, new_figure, printable, save_figure

_COLUMNS = 6
_SMALL = 64  # pictures with fewer pixels a side are enlarged without blur


def plot_mistakes(mistakes: Sequence[Mistake], load_picture: PictureLoader, path: Path) -> bool:
    """Draws the mistakes whose picture can be loaded, worst first.

    Args:
        mistakes: Worst first.
        load_picture: Returns the picture of a source, or None.
        path: The PNG to write.

    Returns:
        Whether there was any picture; otherwise nothing is written.
    """
    loaded = [(mistake, as_picture(load_picture(mistake.source))) for mistake in mistakes]
    shown = [(mistake, picture) for mistake, picture in loaded if picture is not None]
    if not shown:
        return False
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(1.95 * max(columns, 2), 2.75 * rows + 0.45)
    figure.suptitle("Worst mistakes", fontsize=12, color=INK, x=0.01, ha="left")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (mistake, picture) in zip(grid, shown, strict=False):
        _draw(axes, mistake, picture)
    for axes in grid[len(shown):]:
        axes.set_visible(False)
    save_figure(figure, path)
    return True


def _draw(axes: Axes, mistake: Mistake, picture: NDArray[Any]) -> None:
    height, width = picture.shape[:2]
    axes.imshow(picture, interpolation="nearest" if max(height, width) < _SMALL else "antialiased")
    # A square frame around every picture keeps the rows of the grid straight.
    side = max(height, width)
    axes.set_xlim((width - side) / 2 - 0.5, (width + side) / 2 - 0.5)
    axes.set_ylim((height + side) / 2 - 0.5, (height - side) / 2 - 0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(LIGHT)
    axes.set_title(f"said {printable(mistake.said, 22)}", fontsize=8, color=ORANGE, pad=4)
    axes.set_xlabel(f"true {printable(mistake.true, 22)}", fontsize=8, color=INK)
    axes.text(0.5, -0.16, printable(Path(mistake.source).name, 28), transform=axes.transAxes, ha="center", va="top",
              fontsize=6, color=GREY)
