"""Which atoms go: the least important ones of each group, or of all groups together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.compression.parts import Group
from zoo.errors import ArgumentError

SCOPES = ("group", "model")


def least_important(groups: Sequence[Group], importances: Sequence[np.ndarray], fraction: float, *,
                    scope: str = "group", multiple: int = 1, smallest: float = 0.1) -> set[int]:
    """Chooses what to remove.

    Args:
        groups: What can be removed.
        importances: float [size] of each group.
        fraction: How much of it, in (0, 1).
        scope: "group" removes that fraction of every group, "model" of all together, where they matter least.
        multiple: What is left of a group is rounded to a multiple of it, if the group has at least twice as many:
            processors compute 8 or 16 channels at once.
        smallest: At least this fraction of each group is left, and one atom.

    Returns:
        The atoms; the same for the same numbers.

    Raises:
        ArgumentError: A number out of its range, or an unknown scope.
    """
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0.0 < fraction < 1.0:
        raise ArgumentError(f"`fraction` must be a number in (0, 1). Received: {fraction!r}")
    if scope not in SCOPES:
        raise ArgumentError(f"`scope` must be one of {', '.join(SCOPES)}. Received: {scope!r}")
    if isinstance(multiple, bool) or not isinstance(multiple, int) or multiple < 1:
        raise ArgumentError(f"`multiple` must be a whole number of at least 1. Received: {multiple!r}")
    wanted = [group.size * (1.0 - fraction) for group in groups]
    if scope == "model" and groups:
        together = np.sort(np.concatenate(importances))
        limit = together[min(int(fraction * len(together)), len(together) - 1)]
        wanted = [float((values >= limit).sum()) for values in importances]
    removed: set[int] = set()
    for group, values, target in zip(groups, importances, wanted, strict=True):
        left = _rounded(max(target, smallest * group.size), group.size, multiple)
        order = np.argsort(values, kind="stable")
        removed.update(group.atoms[order[:group.size - left]].tolist())
    return removed


def _rounded(target: float, size: int, multiple: int) -> int:
    if size < 2 * multiple:
        return max(1, min(size, round(target)))
    return min(size, max(multiple, round(target / multiple) * multiple))
