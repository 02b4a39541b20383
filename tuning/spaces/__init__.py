"""Search spaces: which hyperparameters a search has, and which arguments their values make."""

from __future__ import annotations

from tuning.spaces.catalog import check_space, space_of
from tuning.spaces.dimension import Dimension
from tuning.spaces.files import read_space
from tuning.spaces.space import SearchSpace

__all__ = ["Dimension", "SearchSpace", "check_space", "read_space", "space_of"]
