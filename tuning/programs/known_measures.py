"""Objectives and constraints that no training gives: they are measured on the model as it will be served.

What can be measured comes from installed packages, through the entry-point group "zoo.measures". An object there has

    names            a mapping: measure -> what it is, in words
    measure(model, names, quiet) -> a mapping: measure -> value; `model` is a keras.Model with a record, and
                     `quiet()` gives a context in which nothing else computes on this machine
    after_training   optional: the names that depend on what was learned. All others are taken before the training, so
                     that a trial which breaks a constraint ends without one.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from tuning.errors import MeasureError

ENTRY_POINT_GROUP = "zoo.measures"

Quiet = Callable[[], AbstractContextManager[Any]]


class Measures(Protocol):
    """What an object of the entry-point group offers."""

    names: Mapping[str, str]

    def measure(self, model: Any, names: Sequence[str], quiet: Quiet) -> Mapping[str, float]:
        """Measures a model."""


def installed_measures() -> dict[str, Measures]:
    """Returns who measures what: each measure that an installed package offers.

    Raises:
        MeasureError: A package's measures cannot be loaded.
    """
    found: dict[str, Measures] = {}
    for entry_point in sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda e: e.name):
        try:
            offered: Measures = entry_point.load()
            found |= dict.fromkeys(offered.names, offered)
        except Exception as error:
            raise MeasureError(f"The measures of the entry point {entry_point.name!r} ({entry_point.value}) cannot be "
                               f"loaded: {error}. Mend or remove the package.") from error
    return found
