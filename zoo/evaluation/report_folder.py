"""A report folder appears whole or not at all, and never in place of anything else."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.errors import ArgumentError

REPORT_KIND = "zoo.evaluation"


@contextmanager
def written_folder(target: Path) -> Iterator[Path]:
    """Gives a staging folder to write into, and puts it in the target's place at the end.

    Args:
        target: Where the folder shall be. An earlier report there is replaced.

    Returns:
        The staging folder, beside the target. It is removed if the block fails, and the target stays as it was.

    Raises:
        ArgumentError: The target is a file, or a folder with anything in it that is not an earlier report.
    """
    target = Path(os.path.abspath(target))  # noqa: PTH100 - Path.resolve would follow a link to the target
    _check_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.writing")
    staging.mkdir()
    try:
        yield staging
        for file in staging.iterdir():
            _flush(file)
        _flush(staging)
        _put(staging, target)
        _flush(target.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)  # gone already if all went well


def _check_replaceable(target: Path) -> None:
    if not target.exists() and not target.is_symlink():
        return
    if not target.is_dir() or target.is_symlink():
        raise ArgumentError(f"The report is written as a folder, but {target} is a file or a link. Name another "
                            "folder.")
    found = {entry.name for entry in target.iterdir()}
    foreign = sorted(found - _report_files(target))
    if foreign:
        raise ArgumentError(f"The folder {target} holds {foreign[0]!r}"
                            f"{f' and {len(foreign) - 1} more entries' if len(foreign) > 1 else ''} that no report "
                            "wrote, and a report replaces the whole folder. Name a new or empty folder.")


def _report_files(target: Path) -> set[str]:
    """Returns the names of the files that an earlier report in the folder says it wrote."""
    try:
        data = json.loads((target / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    if not isinstance(data, dict) or data.get("kind") != REPORT_KIND or not isinstance(data.get("files"), list):
        return set()
    return {str(name) for name in data["files"]}


def _put(staging: Path, target: Path) -> None:
    """Renames the staging folder to the target; an earlier report steps aside and comes back if that fails."""
    _check_replaceable(target)  # again: somebody may have put files there while the plots were drawn
    if not target.exists():
        staging.rename(target)
        return
    former = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.former")
    target.rename(former)
    try:
        staging.rename(target)
    except OSError:
        former.rename(target)
        raise
    shutil.rmtree(former, ignore_errors=True)


def _flush(path: Path) -> None:
    """Makes sure that a file or folder is on the disk before anything is renamed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
