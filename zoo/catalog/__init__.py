"""The models of the zoo as pure data; importing this loads no TensorFlow."""

from __future__ import annotations

from zoo.catalog import (
    efficient_networks,
    hub,
    language_models,
    plain_networks,
    residual_networks,
    sequences,
    tabular,
    text,
    vision,
    vision_transformers,
)
from zoo.spec import ModelSpec


def all_specs() -> tuple[ModelSpec, ...]:
    """Returns the specs of all models that come with the zoo."""
    return (*tabular.SPECS, *sequences.SPECS, *text.SPECS, *language_models.SPECS, *hub.SPECS,
            *vision.SPECS, *residual_networks.SPECS, *efficient_networks.SPECS, *plain_networks.SPECS,
            *vision_transformers.SPECS)
