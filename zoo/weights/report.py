"""What happened to each variable when parameters were loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]

_LISTED = 8


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What happened to each variable: every field maps names to shapes.

    Attributes:
        assigned: Variables of the model that got their values from the file.
        transposed: Those of them whose axes were turned on the way.
        unused: Tensors of the file that the model has no place for, by their names in the file.
        missing: Variables that the file does not have and need not have (states of random generators).
        reinitialised: Variables of the classification head that keep their random start.
    """

    assigned: Shapes = field(default_factory=dict)
    transposed: Shapes = field(default_factory=dict)
    unused: Shapes = field(default_factory=dict)
    missing: Shapes = field(default_factory=dict)
    reinitialised: Shapes = field(default_factory=dict)

    def merged(self, other: LoadReport) -> LoadReport:
        """Returns the report of two loads into different parts of one model."""
        return LoadReport(**{f.name: {**getattr(self, f.name), **getattr(other, f.name)} for f in fields(self)})

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as JSON-ready data."""
        return {f.name: {name: list(shape) for name, shape in getattr(self, f.name).items()} for f in fields(self)}

    def to_text(self) -> str:
        """Returns a short table: how many variables met each fate, and the names of all but the assigned ones."""
        lines = []
        for entry in fields(self):
            shapes: Shapes = getattr(self, entry.name)
            if not shapes and entry.name != "assigned":
                continue
            names = "" if entry.name == "assigned" else f"  {listing(shapes)}"
            lines.append(f"{entry.name:<13} {len(shapes):>5}{names}")
        return "\n".join(lines)


def listing(shapes: Shapes, most: int = _LISTED) -> str:
    """Returns "name [shape], name [shape] and 12 more" of the first few.

    Args:
        shapes: Names and shapes.
        most: How many are named.

    Returns:
        One line of text.
    """
    named = [f"{name} {list(shape)}" for name, shape in list(shapes.items())[:most]]
    rest = len(shapes) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")
