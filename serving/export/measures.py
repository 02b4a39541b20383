"""What a search can measure of a model as it will be served; offered by the entry-point group "zoo.measures".

The group's objects have `names`, `measure` and, where some measures depend on what was learned, `after_training`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any

# A string, so that the names can be listed without TensorFlow.
_MEASURE = "serving.export.measuring:measure_exported"


class ServingMeasures:
    """Speed, size and memory of the exported model.

    They depend on the architecture and the preprocessing, not on what was learned: an untrained model has them too.

    Attributes:
        names: What there is, and in words what it is.
        after_training: The names that only a trained model has: none.
    """

    names: Mapping[str, str] = MappingProxyType({
        "latency_ms": "median milliseconds of a call with one example, preprocessing included",
        "latency_p99_ms": "milliseconds that 99 of 100 such calls stay under",
        "size_mb": "megabytes (10^6 bytes) of the exported graph, variables and assets",
        "memory_mb": "megabytes that loading it and answering adds to a process",
        "parameters": "number of parameters",
    })
    after_training: Sequence[str] = ()

    def measure(self, model: Any, names: Sequence[str],
                quiet: Callable[[], AbstractContextManager[Any]]) -> dict[str, float]:
        """Exports a model to a temporary folder and measures it there.

        Args:
            model: A keras.Model with a record.
            names: What to measure.
            quiet: Gives a context in which nothing else computes on this machine.

        Returns:
            The values by name.

        Raises:
            ServingError: The model cannot be exported or does not answer.
        """
        module, _, function = _MEASURE.partition(":")
        values: dict[str, float] = getattr(importlib.import_module(module), function)(model, names, quiet)
        return values


MEASURES = ServingMeasures()
