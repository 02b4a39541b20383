"""BERT's masking: which tokens a masked language model has to guess, decided by seeds alone."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

MASKED_FRACTION = 0.15
_SHOWN_AS_MASK = 0.8
_SHOWN_AS_ANOTHER = 0.1
NO_TARGET = -1


def masked(token_ids: Any, maskable: Any, indices: Any, seed: Any, *, mask_id: int, others: Any,
           longest: int) -> tuple[Any, Any]:
    """Hides 15 % of the tokens: of those 80 % behind the mask token, 10 % behind another one, 10 % not at all.

    What happens to an example depends on its index and the seed, not on the batch that it is in.

    Args:
        token_ids: int32 [B, L].
        maskable: Which tokens may be hidden, bool [B, L]: no special tokens and no padding.
        indices: Which example each row is, int [B].
        seed: int32.
        mask_id: The mask token.
        others: Tokens that may stand for another one, int32 [k].
        longest: The largest L.

    Returns:
        The tokens that the model sees and those that it has to tell, -1 where nothing is asked, int32 [B, L] each.
        Every row with a maskable token has at least one to tell.
    """
    def draws(index: Any) -> Any:
        return tf.random.stateless_uniform([3, longest], tf.stack([seed, tf.cast(index, tf.int32)]))

    numbers = tf.map_fn(draws, indices, fn_output_signature=tf.float32)[:, :, :tf.shape(token_ids)[1]]
    choice, way, which = tf.unstack(tf.ensure_shape(numbers, [None, 3, None]), axis=1)
    choice = tf.where(maskable, choice, 2.0)
    hidden = maskable & ((choice < MASKED_FRACTION) | (choice == tf.reduce_min(choice, axis=1, keepdims=True)))
    count = tf.size(others)
    another = tf.gather(others, tf.minimum(tf.cast(which * tf.cast(count, tf.float32), tf.int32), count - 1))
    shown = tf.where(way < _SHOWN_AS_MASK, mask_id, tf.where(way < _SHOWN_AS_MASK + _SHOWN_AS_ANOTHER, another,
                                                            token_ids))
    return tf.where(hidden, shown, token_ids), tf.where(hidden, token_ids, NO_TARGET)
