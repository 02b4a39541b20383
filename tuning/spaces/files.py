"""Search spaces in files: YAML or JSON."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuning.errors import SpaceError
from tuning.spaces.notation import read_value
from tuning.spaces.space import SearchSpace
from zoo.errors import MissingDependencyError

try:
    import yaml
except ImportError:  # JSON is read without it
    yaml = None

# YAML 1.1 takes 1e-5 for a string, because it has no dot.
_DOTLESS = re.compile(r"[-+]?\d+[eE][-+]?\d+")


def read_space(path: str | os.PathLike[str], space: SearchSpace | None = None) -> SearchSpace:
    """Reads a space file: settings for a space that is there already, or a whole space.

    Settings are a mapping of names to what `SearchSpace.changed` takes. A whole space is what
    `SearchSpace.to_dict` returns and has `dimensions`.

    Args:
        path: The file; ".json" is JSON, everything else YAML.
        space: What settings are applied to; None for the empty space.

    Returns:
        The space.

    Raises:
        SpaceError: The file cannot be read, or does not fit.
        MissingDependencyError: It is YAML, and PyYAML is not installed.
    """
    read = _read(Path(path))
    space = space or SearchSpace()
    if read is None:
        read = {}
    if not isinstance(read, Mapping) or not all(isinstance(name, str) for name in read):
        raise SpaceError(f"A space file maps the names of hyperparameters to what they may be, such as "
                         f"'learning_rate: log:1e-5..1e-2'. {path} holds: {str(read)[:100]!r}")
    try:
        if "dimensions" in read:
            whole = SearchSpace.from_dict(read)
            return whole if whole.model else SearchSpace(whole.dimensions, space.model)
        return space.changed(read)
    except SpaceError as error:
        raise SpaceError(f"The space file {path}: {error}") from error


def _read(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"The space file {path} cannot be read: {error}") from error
    try:
        return _from_json(text) if path.suffix.lower() == ".json" else _from_yaml(text)
    except SpaceError as error:
        raise SpaceError(f"The space file {path}: {error}") from error


def _from_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise SpaceError(f"this is no JSON: {error}") from error


def _from_yaml(text: str) -> Any:
    if yaml is None:
        raise MissingDependencyError("PyYAML", "tune", "Reading a space file in YAML (JSON needs nothing)")
    try:
        return _with_numbers(yaml.load(text, Loader=_loader()))  # a subclass of the safe loader
    except yaml.YAMLError as error:
        raise SpaceError(f"this is no YAML: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise SpaceError(f"{name!r} stands there twice. Name each hyperparameter once.")
    return dict(pairs)


def _loader() -> Any:
    """Returns the safe loader of YAML, but one that refuses a key given twice."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            _once([(str(key.value), None) for key, _ in node.value])
            return dict(super().construct_mapping(node, deep))

    return Loader


def _with_numbers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_numbers(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_numbers(entry) for entry in value]
    return read_value(value) if isinstance(value, str) and _DOTLESS.fullmatch(value) else value
