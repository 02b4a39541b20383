"""Whole layers that a model can do without: Transformer blocks, and residual blocks that add to what they are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.compression.tracing import calls_of
from zoo.errors import ArgumentError
from zoo.layers.transformer_block import TransformerBlock
from zoo.training.layer_groups import block_of


@dataclass(frozen=True)
class Block:
    """A layer whose input can take the place of its output.

    Attributes:
        name: What the model calls it.
        operation: The Transformer block, or the sum at the end of a residual block.
        place: Which of its inputs is handed on.
        before: Symbolic tensor that it is given.
        after: Symbolic tensor of the same shape that it returns.
    """

    name: str
    operation: Any
    place: int
    before: Any
    after: Any


def removable_blocks(model: keras.Model) -> list[Block]:
    """Finds the blocks that can be left out.

    Args:
        model: A built functional model.

    Returns:
        The blocks in the order of the model. A residual block whose shortcut has a layer of its own cannot be left
        out, because sizes change there.
    """
    ancestors: dict[int, set[int]] = {}
    found = []
    for node in calls_of(model):
        own: set[int] = set()
        for tensor in node.input_tensors:
            own |= {id(tensor), *ancestors.get(id(tensor), ())}
        for tensor in node.outputs:
            ancestors[id(tensor)] = own
        block = None if node.is_input else _as_block(node, ancestors)
        if block is not None:
            found.append(block)
    seen = [id(block.operation) for block in found]
    return [block for block in found if seen.count(id(block.operation)) == 1]


def _as_block(node: Any, ancestors: dict[int, set[int]]) -> Block | None:
    operation, given = node.operation, node.input_tensors
    if isinstance(operation, TransformerBlock):
        return Block(operation.name, operation, 0, given[0], node.outputs[0])
    own = type(operation) is keras.layers.Add or (type(operation).__module__.startswith("keras.src.ops")
                                                  and type(operation).__name__ == "Add")
    if not own or len(given) != 2 or given[0].shape != given[1].shape:
        return None
    for place, (shortcut, other) in enumerate((given, given[::-1])):
        if id(shortcut) in ancestors.get(id(other), ()):
            return Block(block_of(operation.name) or operation.name, operation, place, shortcut, node.outputs[0])
    return None


def influences(model: keras.Model, blocks: Sequence[Block], batches: Any) -> np.ndarray:
    """Rates blocks by how much they turn the vectors that pass through: 1 - cosine, averaged over data.

    (Men et al. 2024, https://arxiv.org/abs/2403.03853.)

    Args:
        model: The model of the blocks.
        blocks: What to rate.
        batches: A dataset of (inputs, targets).

    Returns:
        float64 [blocks], larger matters more.

    Raises:
        ArgumentError: There are no data.
    """
    watched = keras.Model(model.input, [tensor for block in blocks for tensor in (block.before, block.after)])

    @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
    def turned(inputs: Any) -> Any:
        tensors = watched(inputs, training=False)
        return tf.stack([tf.reduce_mean(1.0 + keras.losses.cosine_similarity(before, after))  # Keras's has minus
                         for before, after in zip(tensors[::2], tensors[1::2], strict=True)])

    rated = [turned(inputs).numpy() for inputs, _ in batches]
    if not rated:
        raise ArgumentError("The influence of layers is asked of data, and the data given have no examples.")
    return np.asarray(np.mean(rated, axis=0), np.float64)


def chosen_blocks(blocks: Sequence[Block], fraction: float, importance: np.ndarray | None) -> list[Block]:
    """Chooses the blocks to leave out.

    Args:
        blocks: What can be left out.
        fraction: How many of them, in (0, 1); at least one goes and one stays.
        importance: float [blocks]; None leaves out blocks spread evenly; the first and the last stay.

    Returns:
        The blocks that go, in the order of the model.

    Raises:
        ArgumentError: There are fewer than two.
    """
    if len(blocks) < 2:
        raise ArgumentError(f"Of {len(blocks)} layers that could be left out one has to stay, so none can go. Take "
                            "'filters', 'heads' or 'units'.")
    count = min(max(1, round(fraction * len(blocks))), len(blocks) - 1)
    if importance is None:
        kept = set(np.linspace(0, len(blocks) - 1, len(blocks) - count).round().astype(int).tolist())
        return [block for place, block in enumerate(blocks) if place not in kept]
    return [blocks[place] for place in sorted(np.argsort(importance, kind="stable")[:count].tolist())]
