"""What an export does about speed: the levels, for which models they are, and what is told about the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from serving.errors import ExportError
from serving.export.optimize.graph import Array, ForwardGraph
from serving.export.optimize.levels import LEVELS, NONE, Calibration
from serving.export.optimize.rewriting import rewrite
from serving.export.servable_module import Rewritten, resources_of

CONSTANTS, VARIABLES = "constants", "variables"


@dataclass(frozen=True)
class Optimized:
    """What came of a wish for speed.

    Attributes:
        rewritten: What to trace in the model's place; None for the model itself.
        record: What the manifest says about it, JSON-ready.
        precision: The numbers that it computes in: "float32", "bfloat16" or "int8".
        constant_bytes: What stands in the graph instead of in variables.
    """

    rewritten: Rewritten | None = field(repr=False)
    record: Mapping[str, Any]
    precision: str = "float32"
    constant_bytes: int = 0


def check_level(level: str, weights: str) -> None:
    """Refuses words that are no level, or no place for weights.

    Raises:
        ExportError: It is none.
    """
    if level not in (NONE, *LEVELS):
        raise ExportError(f"`optimize` is one of {', '.join((NONE, *LEVELS))}, auto, max. Received: {level!r}")
    if weights not in (CONSTANTS, VARIABLES):
        raise ExportError(f"`optimized_weights` is {CONSTANTS!r} or {VARIABLES!r}. Received: {weights!r}")


def optimize_forward(model: Any, inputs: Mapping[str, Any], level: str, weights: str,
                     samples: Sequence[Mapping[str, Array]], calibration: Calibration = ()) -> Optimized:
    """Rewrites a model's forward pass for speed.

    Args:
        model: A functional or Sequential keras.Model.
        inputs: tf.TensorSpec by pinned name, in the order of `model.inputs`.
        level: Of `LEVELS`.
        weights: "constants" or "variables", see `ForwardGraph.as_rewritten`.
        samples: Sets of rows to compare on: arrays [N, ...] by pinned input name.
        calibration: Sets of rows to learn ranges from; none takes the samples.

    Returns:
        The result. A model that cannot be rewritten, and one that no pass could better, stays as it is; the record
        says why.
    """
    asked = {"asked": level}
    if any(resources_of(layer) for layer in model._flatten_layers()):
        return Optimized(None, asked | {"reason": "a layer of it holds a table or a file"})
    frozen, chosen = weights == CONSTANTS, LEVELS[level]
    try:
        rewriting = rewrite(ForwardGraph.of(model, inputs), chosen.passes(calibration or samples), samples)
        if not rewriting.changed:
            return Optimized(None, asked | rewriting.to_dict() | {"reason": "no pass was kept"})
        rewritten = rewriting.graph.as_rewritten(frozen=frozen)
    except (ExportError, ValueError, tf.errors.OpError) as error:
        return Optimized(None, asked | {"reason": " ".join(str(error).split())[:300]})
    precision = chosen.precision_with(rewriting.kept)
    return Optimized(rewritten, asked | rewriting.to_dict() | {"weights": weights, "precision": precision}, precision,
                     rewriting.graph.size_bytes if frozen else 0)
