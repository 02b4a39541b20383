"""What could be removed inside attention and Transformer blocks: heads, and units of the feed-forward net."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.compression.parts import Parts
from zoo.layers.self_attention import SelfAttention
from zoo.layers.transformer_block import TransformerBlock

ATTENTION = frozenset({TransformerBlock, SelfAttention, keras.layers.MultiHeadAttention})


def add_attention(layer: Any, parts: Parts) -> None:
    """Adds the heads of an attention layer, or heads and units of a Transformer block.

    Args:
        layer: A built layer of one of the classes in `ATTENTION`.
        parts: What is added to.
    """
    if isinstance(layer, keras.layers.MultiHeadAttention):
        _add_attention_of_keras(layer, parts)
        return
    attention = layer.attention if isinstance(layer, TransformerBlock) else layer
    heads = parts.new(attention.heads, kind="heads", maker=layer.name)
    spread = np.repeat(heads, attention.projection.kernel.shape[0] // attention.heads)
    made = np.tile(spread, 3)  # queries, keys, values, each head by head
    parts.use(attention.qkv.kernel, 1, made, "makes")
    parts.use(attention.qkv.bias, 0, made, "follows")
    parts.use(attention.projection.kernel, 0, spread, "reads")
    parts.count(layer, "heads", heads)
    if isinstance(layer, TransformerBlock):
        units = parts.new(layer.intermediate_size, kind="units", maker=layer.name)
        parts.use(layer.intermediate.kernel, 1, units, "makes")
        parts.use(layer.intermediate.bias, 0, units, "follows")
        parts.use(layer.projection.kernel, 0, units, "reads")
        parts.count(layer, "intermediate_size", units)


def head_size_of(layer: Any) -> int:
    """Returns the width of one head of a `TransformerBlock` or `SelfAttention`, which removing heads keeps."""
    attention = layer.attention if isinstance(layer, TransformerBlock) else layer
    return int(attention.projection.kernel.shape[0]) // int(attention.heads)


def _add_attention_of_keras(layer: Any, parts: Parts) -> None:
    heads = parts.new(layer.num_heads, kind="heads", maker=layer.name)
    for dense in (layer.query_dense, layer.key_dense, layer.value_dense):
        parts.use(dense.kernel, 1, heads, "makes")  # [width, heads, size]
        if dense.bias is not None:
            parts.use(dense.bias, 0, heads, "follows")
    parts.use(layer.output_dense.kernel, 0, heads, "reads")  # [heads, size, width]
    parts.count(layer, "num_heads", heads)
