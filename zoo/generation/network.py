"""The decoder's forward pass in plain TensorFlow ops: a whole prompt at once, then token by token with a cache.

Rows are padded on the left, so that all of them write the same column of the cache.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from zoo.generation.decoder import Affine, Block, Decoder, Norm, Part
from zoo.generation.integers import LARGEST, integer_product

# Added to the score of a place that must not be seen; finite, so that a row without any stays a number.
HIDDEN = -1e9


@dataclass(frozen=True)
class Step:
    """What all blocks need to know of one token per row.

    Attributes:
        columns: The rows of the flat caches that the token's keys and values go to, int32 [N * heads], by the number of
            heads that a cache has.
        bias: Added to the attention scores, float32 [N, 1, 1, places].
    """

    columns: Mapping[int, Any]
    bias: Any


def affine(x: Any, layer: Affine) -> Any:
    """Multiplies float32 [N, inputs] with a dense layer's kernel and adds its bias, if any: float32 [N, outputs]."""
    kernel, bias = layer.kernel, layer.bias
    if layer.largest is None:
        product = tf.matmul(tf.cast(x, kernel.dtype), kernel, transpose_b=layer.turned)
    else:
        product = integer_product(x, kernel, layer.largest, turned=layer.turned)
    if bias is not None:
        product = tf.nn.bias_add(product, bias)
    return tf.cast(product, tf.float32)


def normalised(x: Any, part: Norm, epsilon: float) -> Any:
    """Layer normalisation of float32 [N, width]."""
    centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
    gamma, beta = (tf.cast(parameter, tf.float32) for parameter in (part.gamma, part.beta))
    return centred * tf.math.rsqrt(variance + epsilon) * gamma + beta


def embedded(decoder: Decoder, ids: Any, positions: Any) -> Any:
    """Returns the vectors float32 [..., width] of tokens at positions, int32 [...] each."""
    vectors = tf.cast(tf.gather(decoder.tokens, ids), tf.float32)
    if decoder.largest is not None:
        vectors *= tf.gather(decoder.largest, ids)[..., tf.newaxis] * (1.0 / LARGEST)
    return vectors + tf.cast(tf.gather(decoder.positions, positions + decoder.sizes.offset), tf.float32)


def logits(decoder: Decoder, x: Any) -> Any:
    """Returns the scores of every token, float32 [N, vocabulary], for the last block's result [N, width]."""
    x = normalised(x, decoder.final_norm, decoder.sizes.epsilon)
    if decoder.largest is not None:
        return integer_product(x, decoder.tokens, decoder.largest, turned=True)
    # With the table in front the product is up to twice as fast as with the table turned behind it.
    scores = tf.matmul(decoder.tokens, tf.cast(x, decoder.tokens.dtype), transpose_b=True)
    return tf.cast(tf.transpose(scores), tf.float32)


def added(x: Any, parts: list[Any], bias: Any) -> Any:
    """What the parts of a block give, float32 [N, width] each, added to what went into it."""
    return tf.add_n([x, *parts]) + tf.cast(bias, tf.float32)


def feed_forward(decoder: Decoder, block: Block, x: Any) -> Any:
    """The second half of a block, over [N, width]."""
    rows = normalised(x, block.output_norm, decoder.sizes.epsilon)
    parts = [affine(decoder.sizes.activate(affine(rows, part.intermediate)), part.output) for part in block.parts]
    return added(x, parts, block.output_bias)


def causal_bias(seen: Any) -> Any:
    """What is added to attention scores, float32 [N, 1, L, L], where `seen` bool [N, L] tells tokens from padding."""
    places = tf.range(tf.shape(seen)[1])
    earlier = places[tf.newaxis] <= places[:, tf.newaxis]
    return tf.where(earlier & seen[:, tf.newaxis], 0.0, HIDDEN)[:, tf.newaxis]


def read_all(decoder: Decoder, ids: Any, positions: Any, bias: Any) -> tuple[Any, list[Any]]:
    """Reads whole texts.

    Args:
        decoder: The parameters, read.
        ids: Tokens int32 [N, P].
        positions: Their positions, int32 [N, P] or [1, P].
        bias: Added to the attention scores, float32 [N, 1, P, P].

    Returns:
        The last block's result float32 [N, P, width], and keys and values in turn, float32 [N, heads of the part, P,
        head size], of each part of each block.
    """
    sizes = decoder.sizes
    shape = tf.shape(ids)
    x = tf.reshape(embedded(decoder, ids, positions), [-1, sizes.width])
    caches = []

    def attended(rows: Any, part: Part) -> Any:
        heads = part.projection.kernel.shape[1 if part.projection.turned else 0] // sizes.head_size
        parts = tf.reshape(affine(rows, part.qkv), [shape[0], shape[1], 3, heads, sizes.head_size])
        query, key, value = tf.unstack(tf.transpose(parts, [2, 0, 3, 1, 4]))
        caches.extend([key, value])
        scores = tf.matmul(query * (1.0 / math.sqrt(sizes.head_size)), key, transpose_b=True)
        seen = tf.matmul(tf.nn.softmax(scores + bias), value)
        seen = tf.reshape(tf.transpose(seen, [0, 2, 1, 3]), [-1, heads * sizes.head_size])
        return affine(seen, part.projection)

    for block in decoder.blocks:
        rows = normalised(x, block.attention_norm, sizes.epsilon)
        x = added(x, [attended(rows, part) for part in block.parts], block.projection_bias)
        x = feed_forward(decoder, block, x)
    return tf.reshape(x, [shape[0], shape[1], sizes.width]), caches


def whole_logits(decoder: Decoder, ids: Any, seen: Any) -> Any:
    """Returns the scores of the token after every token, float32 [N, L, vocabulary].

    Args:
        decoder: The parameters, read.
        ids: Tokens int32 [N, L], padded on the right.
        seen: What is no padding, bool [N, L].
    """
    shape = tf.shape(ids)
    hidden, _ = read_all(decoder, ids, tf.range(shape[1])[tf.newaxis], causal_bias(seen))
    rows = normalised(tf.reshape(hidden, [-1, decoder.sizes.width]), decoder.final_norm, decoder.sizes.epsilon)
    if decoder.largest is None:
        scores = tf.matmul(tf.cast(rows, decoder.tokens.dtype), decoder.tokens, transpose_b=True)
    else:
        scores = integer_product(rows, decoder.tokens, decoder.largest, turned=True)
    return tf.reshape(tf.cast(scores, tf.float32), [shape[0], shape[1], decoder.sizes.vocabulary])


def prefill(decoder: Decoder, ids: Any, padding: Any) -> tuple[Any, list[Any]]:
    """Reads whole prompts.

    Args:
        decoder: The parameters, read.
        ids: Tokens int32 [N, P], padded on the left.
        padding: How many places of each row are padding, int32 [N].

    Returns:
        As `read_all`.
    """
    places = tf.range(tf.shape(ids)[1])[tf.newaxis] - padding[:, tf.newaxis]
    return read_all(decoder, ids, tf.maximum(places, 0), causal_bias(places >= 0))


def step(decoder: Decoder, ids: Any, positions: Any, at: Step, caches: list[Any]) -> tuple[Any, list[Any]]:
    """Reads one more token of every row.

    Args:
        decoder: The parameters, read.
        ids: Tokens int32 [N].
        positions: Their positions int32 [N].
        at: Where in the cache they stand.
        caches: Keys and values of each part of each block in turn, [N * heads of the part * places, head size] each.

    Returns:
        The scores of the following token float32 [N, vocabulary], and the caches with this token's keys and values.
    """
    sizes = decoder.sizes
    x = tf.ensure_shape(embedded(decoder, ids, positions), [None, sizes.width])
    count, left, written = tf.shape(ids)[0], iter(caches), []

    def attended(rows: Any, part: Part) -> Any:
        query, key, value = tf.split(affine(rows, part.qkv), 3, axis=1)
        heads = [count, query.shape[1] // sizes.head_size, -1, sizes.head_size]
        # Truly in place: the caches have no other reader than the loop, and a copy of them costs more than attention.
        keys, values = (tf.raw_ops.InplaceUpdate(x=next(left), i=at.columns[heads[1]],
                                                 v=tf.reshape(new, [-1, sizes.head_size])) for new in (key, value))
        written.extend([keys, values])
        query = tf.reshape(query * (1.0 / math.sqrt(sizes.head_size)), heads)
        scores = tf.matmul(query, tf.reshape(keys, heads), transpose_b=True)
        seen = tf.matmul(tf.nn.softmax(scores + at.bias), tf.reshape(values, heads))
        return affine(tf.reshape(seen, [-1, heads[1] * sizes.head_size]), part.projection)

    for block in decoder.blocks:
        rows = normalised(x, block.attention_norm, sizes.epsilon)
        x = added(x, [attended(rows, part) for part in block.parts], block.projection_bias)
        x = feed_forward(decoder, block, x)
    return logits(decoder, x), written
