"""How much of a network can be frozen, known without building one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from zoo.spec import ModelSpec, Task

# The blocks that `frozen_layers` of `TrainingConfig` counts; tests/tuning/spaces/test_frozen_depth.py builds them all.
# Inception V3 and the small networks have none.
_NETWORKS: Mapping[str, int] = MappingProxyType({
    "resnet50": 16, "resnet101": 33, "resnet152": 50, "resnet50_v2": 16, "resnet101_v2": 33, "resnet152_v2": 50,
    "densenet121": 58, "densenet169": 82, "densenet201": 98,
    "mobilenet_v2": 17, "mobilenet_v3_small": 11, "mobilenet_v3_large": 15,
    "efficientnet_b0": 16, "efficientnet_b1": 23, "efficientnet_b2": 23, "efficientnet_b3": 26, "efficientnet_b4": 32,
    "efficientnet_b5": 39, "efficientnet_b6": 45, "efficientnet_b7": 55,
    "efficientnet_v2_b0": 21, "efficientnet_v2_b1": 27, "efficientnet_v2_b2": 28, "efficientnet_v2_b3": 32,
    "efficientnet_v2_s": 40, "efficientnet_v2_m": 57, "efficientnet_v2_l": 79,
    "vgg16": 5, "vgg19": 5, "xception": 14,
    "convnext_tiny": 18, "convnext_small": 36, "convnext_base": 36, "convnext_large": 36, "convnext_xlarge": 36,
    "vit_base_patch16_224": 12, "vit_large_patch16_224": 24,
})
# The layer "predictions" of MobileNet V3 is a softmax alone.
_HEADS_WITHOUT_PARAMETERS = ("mobilenet_v3_small", "mobilenet_v3_large")
_HEADED_TASKS = ("classification", "binary_classification", "regression", "token_classification",
                 "masked_language_model")


def head_learns_alone(spec: ModelSpec, task: Task) -> bool:
    """Tells whether `frozen_epochs` finds a head with parameters.

    Args:
        spec: The model's description.
        task: What it is built for.
    """
    return task in _HEADED_TASKS and spec.name not in _HEADS_WITHOUT_PARAMETERS


def blocks_of(spec: ModelSpec) -> int:
    """Returns how many blocks a model has, or 0 where that is unknown before it is built.

    Args:
        spec: The model's description.
    """
    layers = spec.arguments.get("layers")
    return layers if spec.input_kind == "text" and isinstance(layers, int) else _NETWORKS.get(spec.name, 0)


def depths_to_freeze(spec: ModelSpec) -> tuple[int | None, ...]:
    """Returns values of `frozen_layers` worth trying.

    Args:
        spec: The model's description.

    Returns:
        None (all learns), 0 (all but what lies in front of the blocks) and up to 3/4 of the blocks; empty for a
        model whose blocks are not known.
    """
    blocks = blocks_of(spec)
    if not blocks:
        return ()
    return (None, *sorted({0, blocks // 4, blocks // 2, 3 * blocks // 4}))
