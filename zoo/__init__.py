"""zoo: Keras models by name, with everything that belongs to them, up to a SavedModel that answers requests.

Importing this package loads no TensorFlow; `build`, `save`, `load` and `adopt` load it when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from zoo.errors import (
    ArgumentError,
    BundleError,
    ChecksumError,
    DataError,
    DownloadError,
    DuplicateNameError,
    MissingDependencyError,
    TrainingError,
    UnknownNameError,
    WeightsError,
    ZooError,
)
from zoo.registry import build, info, register, search
from zoo.registry import list_models as list
from zoo.spec import ModelRecord, ModelSpec, record_of

if TYPE_CHECKING:
    from zoo.bundle import adopt, load, save

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "BundleError",
    "ChecksumError",
    "DataError",
    "DownloadError",
    "DuplicateNameError",
    "MissingDependencyError",
    "ModelRecord",
    "ModelSpec",
    "TrainingError",
    "UnknownNameError",
    "WeightsError",
    "ZooError",
    "adopt",
    "build",
    "info",
    "list",
    "load",
    "record_of",
    "register",
    "save",
    "search",
]

# Reached on first use, because their module imports TensorFlow.
_LAZY = {"adopt": "zoo.bundle", "load": "zoo.bundle", "save": "zoo.bundle"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")
