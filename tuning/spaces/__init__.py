"""Search spaces: which hyperparameters a search has, and which arguments their values make."""

from __future__ import annotations

from tuning.spaces.dimension import Dimension
from tuning.spaces.space import SearchSpace

__all__ = ["Dimension", "SearchSpace"]
