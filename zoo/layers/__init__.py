"""Layers that several models share; importing this package loads nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.layers.hub_layer import HubLayer

__all__ = ["HubLayer"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("zoo.layers.hub_layer").HubLayer


def __dir__() -> list[str]:
    return sorted(__all__)
