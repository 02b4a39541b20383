"""The choice of the next token: greedy or drawn, with the same result for the same row on every machine.

The order is that of Hugging Face transformers: repetition penalty, temperature, top_k, top_p. Ties at the border of
top_k or top_p stay in.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from zoo.generation.options import Options

# How many of the best tokens are sorted where top_k or top_p ask for an order; all of them only where these are not
# enough (sorting a vocabulary costs as much as a small model).
_SORTED = 1024
_NEVER = -1e30


def next_tokens(scores: Any, seen: Any, options: Options, step: Any) -> Any:
    """Chooses one token per row.

    Args:
        scores: The model's scores float32 [N, vocabulary].
        seen: Which tokens the row has already, bool [N, vocabulary]; [N, 0] where no row has a repetition penalty.
        options: How to choose.
        step: Number of tokens that were chosen before, int32 scalar.

    Returns:
        Tokens int32 [N].
    """
    scores = tf.cond(options.any_penalty, lambda: _penalised(scores, seen, options.repetition_penalty),
                     lambda: scores)
    greedy = tf.argmax(scores, axis=1, output_type=tf.int32)
    drawn = tf.cond(tf.reduce_any(options.temperature > 0.0), lambda: _drawn(scores, options, step), lambda: greedy)
    return tf.where(options.temperature > 0.0, drawn, greedy)


def uniform(seed: Any, step: Any) -> Any:
    """Returns numbers float32 [N] in [0, 1) that depend on nothing but the row's seed int64 [N] and the step.

    Two rounds of SplitMix64's finaliser (Steele, Lea, Flood 2014) in whole numbers, so equal on every machine.
    """
    golden = tf.constant(0x9E3779B97F4A7C15, tf.uint64)
    mixed = _mixed(tf.bitcast(seed, tf.uint64) + golden)
    mixed = _mixed(mixed + golden * tf.cast(step + 1, tf.uint64))
    return tf.cast(tf.bitwise.right_shift(mixed, tf.constant(40, tf.uint64)), tf.float32) * 2.0**-24


def _mixed(x: Any) -> Any:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(shift, tf.uint64)))
        x = x * tf.constant(factor, tf.uint64)
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(31, tf.uint64)))


def _penalised(scores: Any, seen: Any, penalty: Any) -> Any:
    factor = penalty[:, tf.newaxis]
    return tf.where(seen, tf.where(scores < 0.0, scores * factor, scores / factor), scores)


def _drawn(scores: Any, options: Options, step: Any) -> Any:
    """Draws by the inverse of the distribution function, in the order of the vocabulary."""
    # A greedy row may have any temperature here; its draw is not used.
    scaled = scores / tf.where(options.temperature > 0.0, options.temperature, 1.0)[:, tf.newaxis]
    shaped = tf.cond(options.any_shaping, lambda: tf.where(scaled >= _threshold(scaled, options), scaled, _NEVER),
                     lambda: scaled)
    reached = tf.cumsum(tf.nn.softmax(shaped), axis=1)
    total = reached[:, -1:]
    place = tf.minimum(uniform(options.seed, step)[:, tf.newaxis] * total, total * (1.0 - 2.0**-23))
    return tf.reduce_sum(tf.cast(reached <= place, tf.int32), axis=1)


def _threshold(scaled: Any, options: Options) -> Any:
    """The lowest score that top_k and top_p leave, float32 [N, 1]."""
    vocabulary = scaled.shape[1]
    every = tf.reduce_logsumexp(scaled, axis=1, keepdims=True)
    some = tf.math.top_k(scaled, min(_SORTED, vocabulary)).values
    covered = tf.reduce_sum(tf.exp(some - every), axis=1)
    limited = (options.top_k > 0) & (options.top_k <= _SORTED)
    enough = limited | ((options.top_k == 0) & ((options.top_p >= 1.0) | (covered >= options.top_p)))
    best = tf.cond(tf.reduce_all(enough | (options.temperature <= 0.0)), lambda: some,
                   lambda: tf.math.top_k(scaled, vocabulary).values)
    best = tf.ensure_shape(best, [None, None])
    last = tf.minimum(tf.where(options.top_k > 0, options.top_k, tf.shape(best)[1]), tf.shape(best)[1]) - 1
    lowest = tf.gather(best, last, batch_dims=1)[:, tf.newaxis]
    lowest = tf.where((options.top_k > 0)[:, tf.newaxis], lowest, -float("inf"))
    left = tf.where(best >= lowest, best, _NEVER)
    whole = tf.where((options.top_k > 0)[:, tf.newaxis], tf.reduce_logsumexp(left, axis=1, keepdims=True), every)
    before = tf.cumsum(tf.exp(left - whole), axis=1, exclusive=True)
    top_p = options.top_p[:, tf.newaxis]
    nucleus = tf.reduce_min(tf.where(before < top_p, left, float("inf")), axis=1, keepdims=True)
    return tf.where(top_p < 1.0, tf.maximum(nucleus, lowest), lowest)
