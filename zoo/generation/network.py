"""The decoder's forward pass in plain TensorFlow ops: a whole prompt at once, then token by token with a cache.

Rows are padded on the left, so that all of them write the same column of the cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from zoo.generation.decoder import Affine, Block, Decoder, Norm

# Added to the score of a place that must not be seen; finite, so that a row without any stays a number.
HIDDEN = -1e9


@dataclass(frozen=True)
class Step:
    """What all blocks need to know of one token per row.

    Attributes:
        columns: The rows of the flat caches that the token's keys and values go to, int32 [N * heads].
        bias: Added to the attention scores, float32 [N, 1, 1, places].
    """

    columns: Any
    bias: Any


def affine(x: Any, part: Affine) -> Any:
    """Multiplies float32 [N, inputs] with a dense layer's kernel and adds its bias: float32 [N, outputs]."""
    kernel, bias = part.kernel, part.bias
    if kernel.dtype == x.dtype:
        return tf.nn.bias_add(tf.matmul(x, kernel), bias)
    small = tf.cast(x, kernel.dtype)
    # Of a single row oneDNN's joined product and bias is faster than the plain product, of several rows slower.
    return tf.cond(tf.equal(tf.shape(x)[0], 1),
                   lambda: tf.cast(tf.nn.bias_add(tf.matmul(small, kernel), bias), tf.float32),
                   lambda: tf.cast(tf.matmul(small, kernel), tf.float32) + tf.cast(bias, tf.float32))


def normalised(x: Any, part: Norm, epsilon: float) -> Any:
    """Layer normalisation of float32 [N, width]."""
    centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
    gamma, beta = (tf.cast(parameter, tf.float32) for parameter in (part.gamma, part.beta))
    return centred * tf.math.rsqrt(variance + epsilon) * gamma + beta


def embedded(decoder: Decoder, ids: Any, positions: Any) -> Any:
    """Returns the vectors float32 [..., width] of tokens at positions, int32 [...] each."""
    vectors = tf.cast(tf.gather(decoder.tokens, ids), tf.float32)
    return vectors + tf.cast(tf.gather(decoder.positions, positions + decoder.sizes.offset), tf.float32)


def logits(decoder: Decoder, x: Any) -> Any:
    """Returns the scores of every token, float32 [N, vocabulary], for the last block's result [N, width]."""
    x = normalised(x, decoder.final_norm, decoder.sizes.epsilon)
    # With the table in front the product is up to twice as fast as with the table turned behind it.
    scores = tf.matmul(decoder.tokens, tf.cast(x, decoder.tokens.dtype), transpose_b=True)
    return tf.cast(tf.transpose(scores), tf.float32)


def feed_forward(decoder: Decoder, block: Block, x: Any) -> Any:
    """The second half of a block, over [N, width]."""
    hidden = affine(normalised(x, block.output_norm, decoder.sizes.epsilon), block.intermediate)
    return x + affine(decoder.sizes.activate(hidden), block.output)


def prefill(decoder: Decoder, ids: Any, padding: Any) -> tuple[Any, list[tuple[Any, Any]]]:
    """Reads whole prompts.

    Args:
        decoder: The parameters, read.
        ids: Tokens int32 [N, P], padded on the left.
        padding: How many places of each row are padding, int32 [N].

    Returns:
        The last block's result float32 [N, P, width], and each block's keys and values [N, heads, P, head size].
    """
    sizes = decoder.sizes
    count, length = tf.shape(ids)[0], tf.shape(ids)[1]
    places = tf.range(length)
    x = embedded(decoder, ids, tf.maximum(places - padding[:, tf.newaxis], 0))
    x = tf.reshape(x, [-1, sizes.width])
    unseen = (places[tf.newaxis, tf.newaxis] > places[tf.newaxis, :, tf.newaxis]) \
        | (places[tf.newaxis, tf.newaxis] < padding[:, tf.newaxis, tf.newaxis])
    bias = tf.cast(unseen, tf.float32)[:, tf.newaxis] * HIDDEN
    caches = []
    for block in decoder.blocks:
        qkv = affine(normalised(x, block.attention_norm, sizes.epsilon), block.qkv)
        parts = tf.reshape(qkv, [count, length, 3, sizes.heads, sizes.head_size])
        query, key, value = tf.unstack(tf.transpose(parts, [2, 0, 3, 1, 4]))
        scores = tf.matmul(query * (1.0 / math.sqrt(sizes.head_size)), key, transpose_b=True)
        seen = tf.matmul(tf.nn.softmax(scores + bias), value)
        seen = tf.reshape(tf.transpose(seen, [0, 2, 1, 3]), [-1, sizes.width])
        x = feed_forward(decoder, block, x + affine(seen, block.projection))
        caches.append((key, value))
    return tf.reshape(x, [count, length, sizes.width]), caches


def step(decoder: Decoder, ids: Any, positions: Any, at: Step, caches: list[Any]) -> tuple[Any, list[Any]]:
    """Reads one more token of every row.

    Args:
        decoder: The parameters, read.
        ids: Tokens int32 [N].
        positions: Their positions int32 [N].
        at: Where in the cache they stand.
        caches: Keys and values of each block in turn, each [N * heads * places, head size].

    Returns:
        The scores of the following token float32 [N, vocabulary], and the caches with this token's keys and values.
    """
    sizes = decoder.sizes
    x = tf.ensure_shape(embedded(decoder, ids, positions), [None, sizes.width])
    heads = [tf.shape(ids)[0], sizes.heads, -1, sizes.head_size]
    written = []
    for index, block in enumerate(decoder.blocks):
        qkv = affine(normalised(x, block.attention_norm, sizes.epsilon), block.qkv)
        query, key, value = tf.split(qkv, 3, axis=1)
        # Truly in place: the caches have no other reader than the loop, and a copy of them costs more than attention.
        keys, values = (tf.raw_ops.InplaceUpdate(x=cache, i=at.columns, v=tf.reshape(new, [-1, sizes.head_size]))
                        for cache, new in zip(caches[2 * index:2 * index + 2], (key, value), strict=True))
        query = tf.reshape(query * (1.0 / math.sqrt(sizes.head_size)), heads)
        scores = tf.matmul(query, tf.reshape(keys, heads), transpose_b=True)
        seen = tf.matmul(tf.nn.softmax(scores + at.bias), tf.reshape(values, heads))
        x = feed_forward(decoder, block, x + affine(tf.reshape(seen, [-1, sizes.width]), block.projection))
        written += [keys, values]
    return logits(decoder, x), written
