"""Which search a folder holds: search.json, and the refusal to continue it as another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tuning.config import SearchConfig
from tuning.errors import StoreError
from tuning.folder import SearchFolder
from tuning.study.journal import write_whole
from zoo.errors import ArgumentError

FORMAT = 1
_ABSENT = "nothing"
_TOLD = 4  # differences that a message names


def read_config(folder: SearchFolder) -> SearchConfig | None:
    """Reads the configuration of a search.

    Args:
        folder: The search's folder.

    Returns:
        The configuration, or None if the folder holds none.

    Raises:
        StoreError: The file cannot be read.
    """
    try:
        content = json.loads(folder.config.read_text())
        if content["format"] != FORMAT:
            raise StoreError(f"{folder.config} has format {content['format']!r}; this version reads {FORMAT}. Use the "
                             "version of servable-zoo that wrote it.")
        return SearchConfig.from_dict(content["config"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"The search's configuration cannot be read: {folder.config}: {error}. Put it back from a "
                         "copy, or remove it: the journal holds the same.") from error


def write_config(folder: SearchFolder, config: SearchConfig) -> None:
    """Writes the configuration of a search as a whole.

    Args:
        folder: The search's folder.
        config: The configuration.

    Raises:
        StoreError: It cannot be written.
    """
    try:
        content = json.dumps({"format": FORMAT, "config": config.to_dict()}, indent=1, allow_nan=False)
        write_whole(folder.config, f"{content}\n".encode())
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"A search's configuration must be plain data that JSON can hold: {error}") from error
    except OSError as error:
        raise StoreError(f"The search's configuration cannot be written: {folder.config}: {error.strerror}. Make room "
                         "and run the same command again.") from error


def require_same(known: SearchConfig, wanted: SearchConfig, folder: SearchFolder) -> None:
    """Refuses to continue a search as another one.

    Args:
        known: What the folder holds.
        wanted: What was asked for.
        folder: The folder.

    Raises:
        StoreError: They differ in more than how long the search goes on; the message names where.
    """
    differences = [f"`{name}` is {_short(there)} there, and {_short(here)} was given"
                   for name, there, here in _differences(_plain(known.identity()), _plain(wanted.identity()), "")]
    if differences:
        told = "; ".join(differences[:_TOLD])
        more = f"; and {len(differences) - _TOLD} more" if len(differences) > _TOLD else ""
        raise StoreError(f"{folder.path} holds another search: {told}{more}. Give the same values to go on, none to go "
                         "on as it was begun, `restart` to remove it, or another folder for a new search.")


def _differences(first: Any, second: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    first, second = _by_name(first), _by_name(second)
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in dict.fromkeys([*first, *second]):
            yield from _differences(first.get(key, _ABSENT), second.get(key, _ABSENT), f"{name}.{key}".strip("."))
    elif first != second:
        yield name, first, second


def _by_name(value: Any) -> Any:
    """Returns a list of named things, as a space's dimensions are, by their names, and anything else as it is."""
    if isinstance(value, list) and value and all(isinstance(entry, Mapping) and "name" in entry for entry in value):
        return {entry["name"]: entry for entry in value}
    return value


def _plain(values: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(values))


def _short(value: Any) -> str:
    if value == _ABSENT:
        return _ABSENT
    text = json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
