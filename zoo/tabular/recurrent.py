"""Recurrent networks for series of numbers: a class or values per series."""

from __future__ import annotations

import keras

from zoo.layers.arguments import series_shape
from zoo.layers.dense_head import dense_head
from zoo.layers.recurrent_stack import recurrent_stack


def rnn(*, num_classes: int = 2, features: int = 8, input_shape: tuple[int | None, ...] | None = None,
        cell: str = "lstm", units: int = 64, layers: int = 1, bidirectional: bool = False, pooling: str | None = None,
        include_top: bool = True, classifier_activation: str | None = "softmax", dropout: float = 0.0,
        l2: float = 0.0) -> keras.Model:
    """Builds a recurrent network that chooses a class for a series.

    Args:
        num_classes: Number of classes.
        features: Numbers per step.
        input_shape: (steps, features), in place of `features`; steps None takes series of any length.
        cell: "lstm", "gru" or "simple".
        units: Size of the state per layer and direction.
        layers: Number of recurrent layers.
        bidirectional: Whether each layer also reads backwards.
        pooling: None takes the state after the last step, "avg" or "max" reduces the outputs of all steps.
        include_top: Whether the classification head is built; without it the model returns the state.
        classifier_activation: Keras name of the head's activation; None or "linear" returns logits.
        dropout: Fraction of each layer's outputs dropped while training, in [0, 1).
        l2: Penalty on the squares of the kernels.

    Returns:
        Uncompiled model from "sequence" float [N, steps, features] to "predictions" float [N, num_classes], or to
        features float [N, units] (twice as wide if bidirectional).

    Raises:
        ArgumentError: An argument out of its range.
    """
    sequence = keras.Input(series_shape(input_shape, features), name="sequence")
    state = recurrent_stack(sequence, cell=cell, units=units, layers=layers, bidirectional=bidirectional,
                            pooling=pooling, dropout=dropout, l2=l2)
    if include_top:
        state = dense_head(state, num_classes, activation=classifier_activation, l2=l2)
    return keras.Model(sequence, state, name="rnn")


def rnn_regression(*, outputs: int = 1, features: int = 8, input_shape: tuple[int | None, ...] | None = None,
                   cell: str = "lstm", units: int = 64, layers: int = 1, bidirectional: bool = False,
                   pooling: str | None = None, dropout: float = 0.0, l2: float = 0.0) -> keras.Model:
    """Builds a recurrent network that predicts values from a series, such as its next ones.

    Args:
        outputs: Numbers to predict per series.
        features: Numbers per step.
        input_shape: (steps, features), in place of `features`; steps None takes series of any length.
        cell: "lstm", "gru" or "simple".
        units: Size of the state per layer and direction.
        layers: Number of recurrent layers.
        bidirectional: Whether each layer also reads backwards.
        pooling: None takes the state after the last step, "avg" or "max" reduces the outputs of all steps.
        dropout: Fraction of each layer's outputs dropped while training, in [0, 1).
        l2: Penalty on the squares of the kernels.

    Returns:
        Uncompiled model from "sequence" float [N, steps, features] to "predictions" float [N, outputs].

    Raises:
        ArgumentError: An argument out of its range.
    """
    sequence = keras.Input(series_shape(input_shape, features), name="sequence")
    state = recurrent_stack(sequence, cell=cell, units=units, layers=layers, bidirectional=bidirectional,
                            pooling=pooling, dropout=dropout, l2=l2)
    values = dense_head(state, outputs, l2=l2, units_name="outputs")
    return keras.Model(sequence, values, name="rnn_regression")
