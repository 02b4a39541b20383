"""How likely a model finds given texts."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from zoo.generation.decoder import Decoder
from zoo.generation.network import logits, prefill

# So many places are scored at once: the scores of a whole batch of long texts would need gigabytes.
_PLACES = 256


def log_likelihood(decoder: Decoder, ids: Any, padding: Any) -> tuple[Any, Any]:
    """Sums the log-probabilities of each row's tokens, each given those before it; the first is given.

    Args:
        decoder: The parameters.
        ids: Tokens int32 [N, L], padded on the left; N and L are at least 1.
        padding: How many places of each row are padding, int32 [N], up to L.

    Returns:
        The sums, natural logarithm, float32 [N], and the number of tokens in each, int32 [N].
    """
    parameters = decoder.read()
    hidden, _ = prefill(parameters, ids, padding)
    counted = tf.range(tf.shape(ids)[1] - 1)[tf.newaxis] >= padding[:, tf.newaxis]
    states, targets = tf.boolean_mask(hidden[:, :-1], counted), tf.boolean_mask(ids[:, 1:], counted)
    owners = tf.cast(tf.where(counted)[:, 0], tf.int32)
    total = tf.shape(targets)[0]

    def body(start: Any, found: Any) -> Any:
        scores = logits(parameters, states[start:start + _PLACES])
        some = targets[start:start + _PLACES]
        likely = tf.gather(scores, some, batch_dims=1) - tf.reduce_logsumexp(scores, axis=1)
        return start + _PLACES, tf.concat([found, likely], 0)

    _, found = tf.while_loop(lambda start, found: start < total, body, (tf.constant(0), tf.zeros([0])),
                             parallel_iterations=1,
                             shape_invariants=(tf.TensorShape([]), tf.TensorShape([None])))
    rows = tf.shape(ids)[0]
    return (tf.math.unsorted_segment_sum(found, owners, rows),
            tf.math.unsorted_segment_sum(tf.ones_like(targets), owners, rows))
