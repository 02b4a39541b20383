"""tuning: search for hyperparameters of zoo models with KerasTuner's own tuners.

`build_arguments` turns the tunable arguments of a registered model into KerasTuner hyperparameters, and
`ZooHyperModel` makes a compiled model of them. Importing this package loads neither KerasTuner nor TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tuning.space import build_arguments

if TYPE_CHECKING:
    from tuning.hypermodel import ZooHyperModel

__all__ = ["ZooHyperModel", "build_arguments"]

_LAZY = {"ZooHyperModel": "tuning.hypermodel"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'tuning' has no attribute {name!r}")
