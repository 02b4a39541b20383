"""A small Transformer that learns to judge texts from nothing but the user's examples."""

from __future__ import annotations

from typing import Any

import keras

from zoo.layers.arguments import check_choice, check_count, check_rate
from zoo.text.text_model import (
    blocks,
    check_heads,
    dropped,
    normalised,
    pooled_text,
    task_head,
    text_inputs,
    token_table,
    with_positions,
    with_segments,
)

TASKS = ("classification", "regression", "token_classification")
POOLING = {"mean": "mean", "cls": "first"}
EPSILON = 1e-6


def transformer_text(*, task: str = "classification", vocabulary_size: int = 8000, hidden_size: int = 128,
                     layers: int = 2, heads: int = 4, intermediate_size: int | None = None, max_positions: int = 128,
                     segments: int = 2, activation: str = "gelu", dropout: float = 0.1, attention_dropout: float = 0.1,
                     pooling: str | None = None, num_classes: int = 2, outputs: int = 1, include_top: bool = True,
                     classifier_activation: str | None = "softmax") -> keras.Model:
    """Builds a small Transformer encoder with the head of a task.

    Each part's input is normalised ("pre-norm"), which trains from random parameters without a warm-up. A text gives
    the same answer with any amount of padding behind it.

    Args:
        task: "classification" or "regression" of a text or a pair, or "token_classification".
        vocabulary_size: Number of different token ids: the size of the learnt vocabulary.
        hidden_size: Width of the vectors; a multiple of `heads`.
        layers: Number of blocks.
        heads: Attention heads per block.
        intermediate_size: Width inside the feed-forward nets; None for four times `hidden_size`.
        max_positions: Most tokens per text.
        segments: Number of segment kinds; 0 leaves segments, and the input for them, out.
        activation: Activation of the feed-forward nets.
        dropout: Fraction of vectors dropped while training, in [0, 1).
        attention_dropout: Fraction of attention weights dropped while training, in [0, 1).
        pooling: What stands for a text: "mean" of its tokens (the default) or "cls", the first token.
        num_classes: Number of classes.
        outputs: Numbers that a regression gives.
        include_top: Whether the head is built; without it the model returns the normalised state of every token.
        classifier_activation: Keras name of the classification's activation; None or "linear" returns logits.

    Returns:
        Uncompiled model from "token_ids", "segment_ids" and "padding_mask" (1 = token, 0 = padding), int32 [N, L], to
        float [N, num_classes], [N, outputs] or [N, L, num_classes]; without a head to the states
        [N, L, hidden_size].

    Raises:
        ArgumentError: An argument out of its range.
    """
    check_choice("task", task, TASKS)
    check_heads(hidden_size, heads)
    mode = POOLING[check_choice("pooling", pooling or "mean", POOLING)]
    inputs = text_inputs(segments=check_count("segments", segments, minimum=0))
    mask = inputs["padding_mask"]
    stddev = hidden_size ** -0.5  # vectors of the length 1: BERT's smaller ones take many times the steps to learn from
    x = with_positions(token_table(vocabulary_size, hidden_size, stddev)(inputs["token_ids"]), max_positions,
                       stddev=stddev)
    if segments:
        x = with_segments(x, inputs["segment_ids"], segments, stddev)
    x = dropped(x, "embedding_dropout", check_rate("dropout", dropout))
    x = blocks(x, mask, layers, heads=heads, intermediate_size=intermediate_size or 4 * hidden_size,
               normalisation="pre", activation=activation, epsilon=EPSILON, dropout=dropout,
               attention_dropout=attention_dropout, kernel_stddev=None)
    result: Any = normalised(x, "final_norm", EPSILON)
    if include_top:
        if task != "token_classification":
            result = pooled_text(result, mask, mode)
        result = task_head(dropped(result, "head_dropout", dropout), task, num_classes=num_classes, outputs=outputs,
                           activation=classifier_activation)
    return keras.Model(list(inputs.values()), result, name="transformer_text")
