"""How deep a network may be frozen."""

from __future__ import annotations

import importlib
from typing import Any

import keras
import pytest

from tests.zoo.symbolic import without_values
from tuning.spaces.frozen_depth import blocks_of, depths_to_freeze, head_learns_alone
from zoo.catalog import all_specs
from zoo.errors import ArgumentError
from zoo.spec import ModelSpec
from zoo.training.fine_tuning import freeze_all_but_head
from zoo.training.layer_groups import layer_groups

SPECS = {spec.name: spec for spec in all_specs()}
PICTURES = [name for name, spec in SPECS.items() if spec.input_kind == "image" and spec.family != "hub"]
# One of each family is built always; siblings have more of the same blocks.
SMALLEST = {"mnist_cnn", "resnet50", "densenet121", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0",
            "efficientnet_v2_b0", "vgg16", "inception_v3", "xception", "convnext_tiny"}


def built(spec: ModelSpec, **arguments: Any) -> keras.Model:
    module, _, function = spec.builder.partition(":")
    with without_values():
        return getattr(importlib.import_module(module), function)(**{**spec.arguments, **arguments})


def can_freeze_all_but_head(model: keras.Model) -> bool:
    try:
        freeze_all_but_head(model)
    except ArgumentError:
        return False
    return True


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in SMALLEST else [pytest.mark.slow])
                                  for name in PICTURES])
def test_what_can_be_frozen_is_that_of_the_network(name: str) -> None:
    """The number of blocks is the one that `frozen_layers` counts in the built network, and the head is said to learn
    alone where it can."""
    model = built(SPECS[name])
    assert blocks_of(SPECS[name]) == layer_groups(model).blocks
    assert head_learns_alone(SPECS[name], SPECS[name].task) == can_freeze_all_but_head(model)


@pytest.mark.parametrize("name", ["small_bert_L2_H128", "minilm_l6_h384", "gpt2"])
def test_what_can_be_frozen_of_language_models_follows_from_arguments_and_task(name: str) -> None:
    """Language models say in their arguments how many blocks they have; an embedding or a language model has no head
    of its own."""
    spec = SPECS[name]
    for task in spec.tasks if name.startswith("small") else (spec.task,):
        model = built(spec, task=task)
        assert blocks_of(spec) == layer_groups(model).blocks
        assert head_learns_alone(spec, task) == can_freeze_all_but_head(model), task


def test_depths_leave_something_to_learn() -> None:
    """Nothing frozen is always a choice, all blocks frozen is none; a model without blocks has no choice."""
    for name, spec in SPECS.items():
        depths = depths_to_freeze(spec)
        assert (depths == ()) == (blocks_of(spec) == 0), name
        if depths:
            assert depths[0] is None
            assert list(depths[1:]) == sorted({depth for depth in depths[1:] if 0 <= (depth or 0) < blocks_of(spec)})
