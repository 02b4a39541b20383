"""The depth of a model's parameters: in front of its blocks, in one of them, or behind the last."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import keras

from zoo.errors import ArgumentError

# What a block is called in a variable's path: those of Transformers, of residual networks (conv2_block1, block2a,
# stage_0_block_1), of MobileNets (block_1, expanded_conv_1), and the plain block1 of VGG and Xception.
_BLOCK = re.compile(r"(?:^|/)((?:transformer_)?block_\d+(?=[/_])|conv\d+_block\d+(?=_)|block\d+[a-z]?(?=_)|"
                    r"\w*?stage_\d+_block_\d+(?=_)|expanded_conv(?:_\d+)?(?=_))")
_EMBEDDING = re.compile(r"(?:^|/)(?:token|position|segment)_embedding/|(?:^|/)embedding_(?:norm|projection)/")
_FRONT = 0


@dataclass(frozen=True)
class LayerGroups:
    """Every parameter of a model by its depth.

    Attributes:
        blocks: How many blocks the model has.
        depths: By the variable's `id`: 0 in front of the first block (embeddings, stem), 1 to `blocks` in that block
            or behind it and in front of the next, `blocks` + 1 behind the last one (pooler, norm, head).
    """

    blocks: int
    depths: dict[int, int]

    @property
    def behind(self) -> int:
        """The depth of what lies behind the last block."""
        return self.blocks + 1

    def depth(self, variable: Any) -> int:
        """Returns the depth of one of the model's variables."""
        return self.depths[id(variable)]


def block_of(path: str) -> str | None:
    """Returns the name of the block that a layer or a variable belongs to, such as "block_0" or "conv2_block1".

    Args:
        path: The layer's name, or the variable's path.

    Returns:
        The block's name, or None for what stands in none.
    """
    found = _BLOCK.search(path if "/" in path else f"{path}/")
    return found[1] if found else None


def layer_groups(model: keras.Model) -> LayerGroups:
    """Sorts the parameters of a model by their depth; a model without blocks has all of them behind the last.

    Args:
        model: A built model; its blocks are told by the names of its layers.

    Returns:
        The depths.
    """
    variables = list(model.weights)
    found = [_BLOCK.search(variable.path) for variable in variables]
    last = max((place for place, block in enumerate(found) if block), default=-1)
    number: dict[str, int] = {}
    depths, current = {}, _FRONT
    for place, (variable, block) in enumerate(zip(variables, found, strict=True)):
        if block:
            current = number.setdefault(block[1], len(number) + 1)
        behind = place > last and not block
        depths[id(variable)] = (_FRONT if _EMBEDDING.search(variable.path) else -1 if behind else current)
    blocks = len(number)
    return LayerGroups(blocks, {key: blocks + 1 if depth < 0 else depth for key, depth in depths.items()})


def require_blocks(model: keras.Model, option: str, value: object, at_least: int = 1) -> LayerGroups:
    """Returns the depths of a model that must have blocks.

    Args:
        model: A built model.
        option: What asks for them, for the message.
        value: Its value, for the message.
        at_least: How many there must be.

    Returns:
        The depths.

    Raises:
        ArgumentError: It has none, or fewer.
    """
    groups = layer_groups(model)
    if groups.blocks < max(at_least, 1):
        has = f"has {groups.blocks}" if groups.blocks else "has none"
        raise ArgumentError(f"`{option}` counts the blocks of a network (of a Transformer, or a residual one), and the "
                            f"model {model.name!r} {has}. Received: {value}")
    return groups


def freeze_below(model: keras.Model, groups: LayerGroups, lowest: int) -> None:
    """Stops all parameters from learning that lie in front of a depth.

    Batch normalisation that is frozen uses and keeps its moving statistics.

    Args:
        model: The model.
        groups: Its depths.
        lowest: The first depth that learns.
    """
    frozen = {id(variable) for variable in model.weights if groups.depth(variable) < lowest}
    for variable in model.trainable_variables:
        if id(variable) in frozen:
            variable.trainable = False
    for layer in model._flatten_layers(include_self=False):  # Keras has no public walk into composite layers
        if isinstance(layer, keras.layers.BatchNormalization) and id(layer.moving_mean) in frozen:
            layer.trainable = False
