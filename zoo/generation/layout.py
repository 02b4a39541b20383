"""The layout in which a stock TensorFlow reads a decoder's parameters fastest, one token at a time.

TensorFlow starts its threads anew for every product, and a token of a 12-block model has 48 of them, so a good part of
the time goes to waiting. With every block cut in two, two threads each go through half of a block on their own and wait
for each other twice. Kernels [outputs, inputs] are read along their rows, which bfloat16 gains most from.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.generation.decoder import Affine, Block, Decoder, Part, Sizes
from zoo.generation.integers import rounded

PARTS = 2


def laid_out(decoder: Decoder, parts: int = PARTS) -> Decoder:
    """Copies the blocks of a decoder into parts, with turned kernels.

    Args:
        decoder: A decoder whose blocks are whole.
        parts: Parts of each block; at most as many as it has heads. They need not divide the heads evenly.

    Returns:
        The decoder over tf.Variables of its own for kernels and biases; the tables and normalisations are the given
        ones.
    """
    sizes = decoder.sizes
    blocks = tuple(_cut(block, parts, sizes) for block in decoder.blocks)
    return Decoder(sizes, decoder.tokens, decoder.positions, blocks, decoder.final_norm)


def in_bfloat16(decoder: Decoder) -> Decoder:
    """Copies a decoder with every parameter in bfloat16, which halves what is read for each token."""
    return decoder.mapped(lambda parameter: _variable(tf.cast(tf.convert_to_tensor(parameter), tf.bfloat16)))


def in_int8(decoder: Decoder) -> Decoder:
    """Copies a decoder with kernels and token table rounded to int8 (see `integers`), and the rest as it is.

    Args:
        decoder: One that `laid_out` made.
    """
    def affine(layer: Affine) -> Affine:
        kernel, largest = rounded(_value(layer.kernel), 0 if layer.turned else 1)
        return Affine(_variable(kernel), layer.bias, layer.turned, _variable(largest))

    def part(layers: Part) -> Part:
        return Part(affine(layers.qkv), affine(layers.projection), affine(layers.intermediate), affine(layers.output))

    tokens, largest = rounded(_value(decoder.tokens), 0)
    blocks = tuple(dataclasses.replace(block, parts=tuple(map(part, block.parts))) for block in decoder.blocks)
    return dataclasses.replace(decoder, tokens=_variable(tokens), largest=_variable(largest), blocks=blocks)


def _cut(block: Block, count: int, sizes: Sizes) -> Block:
    (whole,) = block.parts
    qkv, projection = _value(whole.qkv.kernel), _value(whole.projection.kernel)
    intermediate, output = _value(whole.intermediate.kernel), _value(whole.output.kernel)
    qkv = qkv.reshape(sizes.width, 3, -1, sizes.head_size)
    qkv_bias = _value(whole.qkv.bias).reshape(3, -1, sizes.head_size)
    projection = projection.reshape(-1, sizes.head_size, sizes.width)
    inner_bias = _value(whole.intermediate.bias)
    heads = np.array_split(np.arange(len(projection)), min(count, len(projection)))  # pruned blocks differ in theirs
    parts = []
    for mine, inner in zip(heads, np.array_split(np.arange(len(inner_bias)), len(heads)), strict=True):
        first, behind = slice(mine[0], mine[-1] + 1), slice(inner[0], inner[-1] + 1)
        parts.append(Part(
            qkv=_turned(qkv[:, :, first].reshape(sizes.width, -1), qkv_bias[:, first].reshape(-1)),
            projection=_turned(projection[first].reshape(-1, sizes.width)),
            intermediate=_turned(intermediate[:, behind], inner_bias[behind]),
            output=_turned(output[behind])))
    return Block(block.attention_norm, tuple(parts), _variable(_value(block.projection_bias)), block.output_norm,
                 _variable(_value(block.output_bias)))


def _value(parameter: Any) -> Any:
    return tf.convert_to_tensor(parameter).numpy()


def _turned(kernel: Any, bias: Any = None) -> Affine:
    return Affine(_variable(np.ascontiguousarray(kernel.T)), None if bias is None else _variable(bias), turned=True)


def _variable(value: Any) -> Any:
    return tf.Variable(value, trainable=False)
