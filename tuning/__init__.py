"""tuning: search for hyperparameters of zoo models.

`space_of` gives the search space of a registered model, `SearchSpace` and `Dimension` change it, and `ZooHyperModel`
makes a compiled model of it in KerasTuner's own tuners. Importing this package loads neither KerasTuner nor
TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tuning.spaces import Dimension, SearchSpace, read_space, space_of

if TYPE_CHECKING:
    from tuning.hypermodel import ZooHyperModel

__all__ = ["Dimension", "SearchSpace", "ZooHyperModel", "read_space", "space_of"]

_LAZY = {"ZooHyperModel": "tuning.hypermodel"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'tuning' has no attribute {name!r}")
