"""Whether a folder holds a whole SavedModel, told from its files without loading it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from zoo.weights.cache import digests

_GRAPHS = ("saved_model.pb", "saved_model.pbtxt")
_SHARD = re.compile(r"variables\.data-\d{5}-of-(\d{5})")


def is_saved_model(folder: Path) -> bool:
    """Returns whether a folder is meant to be a SavedModel: it has a graph or a folder of variables."""
    return any((folder / name).is_file() for name in _GRAPHS) or (folder / "variables").is_dir()


def problem_with(folder: Path) -> str:
    """Returns what a SavedModel's folder lacks, in a few words, or an empty string.

    Args:
        folder: The folder. Programs that were stopped, and cleaners of temporary folders, leave half of one.

    Returns:
        Such as "it is empty" or "variables/variables.index is missing".
    """
    if not folder.is_dir():
        return "it is no folder"
    if not any(folder.iterdir()):
        return "it is empty"
    if not any((folder / name).is_file() and (folder / name).stat().st_size for name in _GRAPHS):
        return "it has neither saved_model.pb nor saved_model.pbtxt"
    variables = folder / "variables"
    shards = [match for path in variables.glob("variables.data-*") if (match := _SHARD.fullmatch(path.name))]
    if not variables.is_dir() or not (shards or (variables / "variables.index").exists()):
        return ""  # a SavedModel without parameters
    if not (variables / "variables.index").is_file():
        return "variables/variables.index is missing"
    if not shards or len(shards) < int(shards[0][1]):
        return "a file variables/variables.data-... is missing"
    return ""


def content_sha256(folder: Path) -> str:
    """Returns the sha256 of what a SavedModel computes: its graph, variables and assets, by name and content.

    Args:
        folder: The SavedModel's folder.

    Returns:
        64 hexadecimal digits; the same for a copy, however it was packed, and whatever else lies in the folder.
    """
    files = [path for name in _GRAPHS if (path := folder / name).is_file()]
    files += [path for part in ("variables", "assets") for path in (folder / part).rglob("*") if path.is_file()]
    listing = sorted((path.relative_to(folder).as_posix(), digests(path).sha256) for path in files)
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()
