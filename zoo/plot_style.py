"""How the plots look. Figures are objects of their own: no pyplot, no display, nothing global is changed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine

BLUE, ORANGE, GREY, LIGHT = "#2b6cb0", "#dd6b20", "#718096", "#e2e8f0"
INK = "#2d3748"
_DOTS_PER_INCH = 120
_FONT = "DejaVu Sans"  # comes with matplotlib, so plots look the same everywhere


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty white figure of the given size in inches that arranges its parts by itself."""
    figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, facecolor="white",
                    layout=ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.09))
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG; the same figure gives the same bytes."""
    figure.savefig(path, format="png", metadata={"Software": None})


def dress(axes: Axes, *, title: str = "", x: str = "", y: str = "", grid: bool = True) -> None:
    """Gives axes the common look and their words, which have to be `printable`."""
    axes.set_title(title, fontsize=11, color=INK, loc="left", family=_FONT)
    axes.set_xlabel(x, fontsize=9, color=INK, family=_FONT)
    axes.set_ylabel(y, fontsize=9, color=INK, family=_FONT)
    axes.tick_params(labelsize=8, colors=INK, labelfontfamily=_FONT)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)
    if grid:
        axes.grid(color=LIGHT, linewidth=0.8)
        axes.set_axisbelow(True)


def legend(axes: Axes, **options: Any) -> None:
    """Adds a legend in the common look."""
    axes.legend(frameon=False, prop=FontProperties(family=_FONT, size=8), labelcolor=INK, **options)


def printable(text: str, longest: int = 200) -> str:
    """Makes any text safe to draw.

    Args:
        text: Labels and file names may hold anything.
        longest: Characters to keep; the middle of a longer text is left out.

    Returns:
        One line; a "$" starts no formula, and signs that the font lacks are drawn as "?" without a warning.
    """
    words = " ".join(text.split())
    if len(words) > longest:
        head = (longest - 1) // 2
        words = f"{words[:head]}…{words[len(words) - (longest - 1 - head):]}"
    return "".join(sign if ord(sign) in _drawable() else "?" for sign in words).replace("$", r"\$")


def names_of(labels: Sequence[str], longest: int) -> list[str]:
    """Returns class names to draw; one that the font can hardly show or that is empty has its number instead."""
    drawn = [printable(label, longest) for label in labels]
    return [f"class {i}" if not name.strip("? ") else name for i, name in enumerate(drawn)]


@lru_cache(maxsize=1)
def _drawable() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=_FONT))).get_charmap())
