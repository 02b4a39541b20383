"""Which versions to load and unload next: a pure function of what is there. Threads and time belong to the manager."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class VersionState(enum.IntEnum):
    """A version's life, with the numbers of TensorFlow Serving's ModelVersionStatus.State."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionSnapshot:
    """One version at one moment; `wanted` = the folder and the policy ask for it."""

    version: int
    state: VersionState
    wanted: bool


@dataclass(frozen=True)
class Load:
    """Load this version."""

    version: int


@dataclass(frozen=True)
class Unload:
    """Unload this version once its requests are answered."""

    version: int


def wanted_versions(found: Iterable[int], latest: int) -> frozenset[int]:
    """The highest versions.

    Args:
        found: Versions that are in the folder.
        latest: How many to serve, 1 or more.

    Returns:
        At most `latest` versions.
    """
    return frozenset(sorted(found, reverse=True)[:latest])


def next_actions(snapshots: Sequence[VersionSnapshot]) -> list[Load | Unload]:
    """What to do now for one model.

    New versions are loaded before old ones go, at the price of holding both for a while; and an old one stays for as
    long as no wanted version answers in its place, so a version that cannot be loaded takes nothing down. When the
    folder has no version left, everything goes.

    Args:
        snapshots: All versions known of the model, in any order.

    Returns:
        Loads, the highest version first, then unloads. What is under way (LOADING, UNLOADING) is not asked for again.
    """
    wanted = [snapshot for snapshot in snapshots if snapshot.wanted]
    loads = sorted((one.version for one in wanted if one.state is VersionState.START), reverse=True)
    replaced = not wanted or any(one.state is VersionState.AVAILABLE for one in wanted)
    unloads = [one.version for one in snapshots if not one.wanted and one.state is VersionState.AVAILABLE and replaced]
    return [*map(Load, loads), *map(Unload, sorted(unloads))]
