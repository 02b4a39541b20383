"""Which operations each TensorFlow Serving release knows: one text file per release, see the head of a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from serving.errors import ExportError

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class KnownOp:
    """An operation of a release: the names of its attributes, and whether TensorFlow Text brings it."""

    attributes: frozenset[str]
    from_text: bool


def releases() -> list[str]:
    """The TensorFlow Serving releases that have a list, oldest first."""
    names = [path.stem for path in _FOLDER.glob("*.txt")]
    return sorted(names, key=lambda name: [int(part) for part in name.split(".")])


def known_ops(release: str) -> dict[str, KnownOp]:
    """The operations of a release by name.

    Args:
        release: "2.20", or a full version such as "2.20.0", of which the first two numbers count.

    Raises:
        ExportError: No list is there for it.
    """
    short = ".".join(str(release).split(".")[:2])
    if short not in releases():
        raise ExportError(f"No operation list for TensorFlow Serving {release!r}. Known releases: "
                          f"{', '.join(releases())}.")
    lines = (_FOLDER / f"{short}.txt").read_text(encoding="utf-8").splitlines()
    return dict(_parsed(line) for line in lines if line and not line.startswith("#"))


def _parsed(line: str) -> tuple[str, KnownOp]:
    name, *attributes = line.split(" ")
    return name.removeprefix("*"), KnownOp(frozenset(attributes), name.startswith("*"))
