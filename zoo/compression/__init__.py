"""Smaller and faster models: a teacher for a small one, training for eight bits, pruning.

Importing this package loads nothing; its names load Keras when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.compression.distillation import Distillation
    from zoo.compression.magnitude_pruning import MagnitudePruning
    from zoo.compression.pruning import Pruned, PruningReport, prune
    from zoo.compression.quantization_aware import QuantizationAware

_HOMES = {"Distillation": "distillation", "MagnitudePruning": "magnitude_pruning", "Pruned": "pruning",
          "PruningReport": "pruning", "QuantizationAware": "quantization_aware", "prune": "pruning"}

__all__ = ["Distillation", "MagnitudePruning", "Pruned", "PruningReport", "QuantizationAware", "prune"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
