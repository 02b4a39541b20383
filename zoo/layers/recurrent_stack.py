"""Recurrent layers on top of each other: what the models for texts and for series of numbers share."""

from __future__ import annotations

from typing import Any

import keras

from zoo.layers.arguments import check_choice, check_count, check_rate, l2_penalty
from zoo.layers.sequence_pooling import SequencePooling

CELLS = ("lstm", "gru", "simple")
POOLINGS = (None, "avg", "max")


def recurrent_stack(sequence: Any, *, cell: str, units: int, layers: int, bidirectional: bool, pooling: str | None,
                    dropout: float, l2: float) -> Any:
    """Applies recurrent layers, each to the outputs of the one before, and reduces the last one to a vector.

    Keras's CuDNN kernels are switched off, so that a graph traced on a machine with a GPU also runs without one.

    Args:
        sequence: Symbolic float [N, steps, features]; its mask is obeyed.
        cell: "lstm", "gru" or "simple".
        units: Size of the state per layer and direction.
        layers: Number of layers.
        bidirectional: Whether each layer also reads backwards; this doubles the width.
        pooling: None takes the state after the last step, "avg" or "max" reduces the outputs of all steps.
        dropout: Fraction of each layer's outputs that is dropped while training, in [0, 1).
        l2: Penalty on the squares of the kernels.

    Returns:
        Symbolic float [N, units], twice as wide if bidirectional.

    Raises:
        ArgumentError: An argument out of its range.
    """
    check_choice("cell", cell, CELLS)
    check_choice("pooling", pooling, POOLINGS)
    check_rate("dropout", dropout)
    for index in range(1, check_count("layers", layers) + 1):
        layer = _layer(cell, units, index, keep_steps=index < layers or pooling is not None, l2=l2)
        if bidirectional:
            layer = keras.layers.Bidirectional(layer, name=f"bidirectional_{index}")
        sequence = layer(sequence)
        if dropout:
            sequence = keras.layers.Dropout(dropout, name=f"dropout_{index}")(sequence)
    return sequence if pooling is None else SequencePooling(pooling, name="pooling")(sequence)


def _layer(cell: str, units: int, index: int, *, keep_steps: bool, l2: float) -> keras.layers.Layer:
    options = {"units": check_count("units", units), "return_sequences": keep_steps, "name": f"{cell}_{index}",
               "kernel_regularizer": l2_penalty(l2), "recurrent_regularizer": l2_penalty(l2)}
    if cell == "simple":
        return keras.layers.SimpleRNN(**options)
    return {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[cell](use_cudnn=False, **options)
