"""Which variables are the classification head, the only part of a model that may differ from its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

HEAD_LAYER = "predictions"


@dataclass(frozen=True)
class HeadRule:
    """How far a model may differ from a checkpoint.

    Attributes:
        head_ids: `id` of each variable of the head; they may keep their random start.
        headless: The model ends in features, so the checkpoint may have layers behind its end.
    """

    head_ids: frozenset[int] = frozenset()
    headless: bool = False


STRICT = HeadRule()


def head_layer(model: keras.Model) -> Any:
    """Returns the layer that holds the head's variables, or None for a model without a head.

    It is the layer "predictions". Where that one is only an activation, it is the last layer with variables.
    """
    named = [layer for layer in model.layers if layer.name == HEAD_LAYER]
    if not named:
        return None
    if named[0].weights:
        return named[0]
    return next((layer for layer in reversed(model.layers) if layer.weights), None)


def head_rule(model: keras.Model) -> HeadRule:
    """Returns the rule by which published parameters may be loaded into a zoo model."""
    layer = head_layer(model)
    if layer is None:
        return HeadRule(headless=True)
    return HeadRule(head_ids=frozenset(id(variable) for variable in layer.weights))
