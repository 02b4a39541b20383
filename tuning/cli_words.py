"""What the words behind the options of `zoo tune` mean: a search's configuration and its engine."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuning.errors import SearchError
from zoo.cli_options import value_of
from zoo.errors import ArgumentError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)

# The option that sets a field of SearchConfig or an engine's argument, for messages.
IN_OPTIONS: Mapping[str, str] = {
    "trials": "--trials", "epochs": "--epochs", "total_epochs": "--total-epochs", "minutes": "--minutes",
    "executions": "--executions", "retries": "--retries", "trial_minutes": "--trial-minutes", "seed": "--seed",
    "oracle": "--oracle", "oracle_options": "--oracle-option", "stopper": "--stopper",
    "stopper_options": "--stopper-option", "objectives": "--objective", "constraints": "--constraint",
    "jobs": "--jobs", "max_concurrent": "--jobs", "memory_bytes": "--memory", "address": "--address",
    "cpus_per_trial": "--cpus", "gpus_per_trial": "--gpus", "space": "--space", "data": "DATA", "model": "MODEL",
    "restart": "--restart"}


def is_code(word: str) -> bool:
    """Tells whether a word names code, "file.py:name" or "package.module:name", and no registered model.

    Args:
        word: MODEL or DATA as typed.
    """
    place, colon, name = word.rpartition(":")
    return bool(colon and place) and name.isidentifier()


def settings_of(texts: list[str] | None, option: str) -> dict[str, str]:
    """Reads NAME=TEXT of a repeated option.

    Args:
        texts: As typed.
        option: The option, for the message.

    Returns:
        Text by name.

    Raises:
        ArgumentError: One has another form, or a name is given twice.
    """
    settings: dict[str, str] = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise ArgumentError(f"`{option}` reads NAME=VALUE, such as {option} learning_rate=log:1e-5..1e-2. "
                                f"Received: {text!r}")
        if name in settings:
            raise ArgumentError(f"`{option}` names {name!r} twice. Give it once.")
        settings[name] = value
    return settings


def values_of(texts: list[str] | None, option: str) -> dict[str, Any]:
    """Reads NAME=VALUE of a repeated option, where a value is JSON, True, False, None or plain text.

    Args:
        texts: As typed.
        option: The option, for the message.

    Returns:
        Values by name.

    Raises:
        ArgumentError: One has another form, or a name is given twice.
    """
    return {name: value_of(text) for name, text in settings_of(texts, option).items()}


def size_in_bytes(text: str) -> int:
    """Reads an amount of memory.

    Args:
        text: A number of bytes, or with a unit: 500M, 2G, 1.5GB.

    Returns:
        Bytes.

    Raises:
        ArgumentError: It has another form or is nothing.
    """
    match = _SIZE.fullmatch(text.strip())
    size = round(float(match[1]) * _UNITS[match[2].lower()]) if match else 0
    if size < 1:
        raise ArgumentError(f"`--memory` is an amount such as 500M or 2G. Received: {text!r}")
    return size


def read_configuration(path: Path) -> dict[str, Any]:
    """Reads a file of fields of `SearchConfig`.

    Args:
        path: JSON, or YAML.

    Returns:
        The fields.

    Raises:
        ArgumentError: It cannot be read or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
        read = json.loads(text) if path.suffix.lower() == ".json" else _yaml(text)
    except FileNotFoundError:
        raise ArgumentError(f"The configuration file {path} does not exist.") from None
    except SearchError:
        raise
    except (OSError, ValueError) as error:
        raise ArgumentError(f"The configuration file {path} cannot be read: {error}") from error
    if isinstance(read, dict) and set(read) == {"format", "config"}:  # a search's own search.json
        read = read["config"]
    if not isinstance(read, dict) or not all(isinstance(name, str) for name in read):
        raise ArgumentError(f"The configuration file {path} must map names of SearchConfig's fields to values, such as "
                            "'trials: 40'.")
    return read


def _yaml(text: str) -> Any:
    from zoo.errors import MissingDependencyError

    try:
        import yaml
    except ImportError as error:
        purpose = "Reading a configuration in YAML (JSON needs nothing)"
        raise MissingDependencyError("PyYAML", "tune", purpose) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"it is no YAML: {error}") from error
