"""tuning: search for hyperparameters of zoo models and of KerasTuner hypermodels.

`search` runs a whole search and gives a `SearchResult`; `zoo tune` is the same from a shell.
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
    from tuning.run import SearchResult
    from tuning.searching import search

__all__ = ["Dimension", "SearchResult", "SearchSpace", "ZooHyperModel", "read_space", "search", "space_of"]

# Reached on first use, because their modules need KerasTuner or numpy.
_LAZY = {"SearchResult": "tuning.run", "ZooHyperModel": "tuning.hypermodel", "search": "tuning.searching"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'tuning' has no attribute {name!r}")
