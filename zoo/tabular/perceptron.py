"""Multi-layer perceptrons for rows of numbers: one of two classes, and one of many."""

from __future__ import annotations

from typing import Any

import keras

from zoo.errors import ArgumentError
from zoo.layers.arguments import check_count, check_rate, l2_penalty, vector_width
from zoo.layers.dense_head import dense_head


def mlp_binary(*, num_classes: int = 2, features: int = 2, hidden_units: int = 10, hidden_activation: str = "sigmoid",
               input_shape: tuple[int, ...] | None = None, dropout: float = 0.0, l2: float = 0.0) -> keras.Model:
    """Builds a network with one hidden layer that tells two classes apart.

    The last layer has a sigmoid, so its output is a probability and fits the binary cross-entropy loss.

    Args:
        num_classes: 2; here so that a caller who counts classes may say so.
        features: Numbers per row.
        hidden_units: Width of the hidden layer.
        hidden_activation: Keras name of its activation.
        input_shape: (features,), in place of `features`.
        dropout: Fraction of the hidden outputs dropped while training, in [0, 1).
        l2: Penalty on the squares of the kernels.

    Returns:
        Uncompiled model from "features" float [N, features] to "predictions" float [N, 1], the probability in [0, 1]
        of the second class.

    Raises:
        ArgumentError: An argument out of its range, or more than two classes.
    """
    if num_classes != 2:
        raise ArgumentError(f"mlp_binary tells 2 classes apart. Received: num_classes={num_classes!r}. For another "
                            "number of classes build 'softmax_1000' with its own num_classes.")
    rows = keras.Input((vector_width(input_shape, features),), name="features")
    hidden = _hidden(rows, hidden_units, hidden_activation, dropout, l2)
    probability = dense_head(hidden, 1, activation="sigmoid", l2=l2)
    return keras.Model(rows, probability, name="mlp_binary")


def softmax_1000(*, num_classes: int = 1000, features: int = 100, hidden_units: int = 1000,
                 hidden_activation: str = "relu", input_shape: tuple[int, ...] | None = None,
                 classifier_activation: str | None = "softmax", dropout: float = 0.0,
                 l2: float = 0.0) -> keras.Model:
    """Builds a network with one hidden layer that chooses one of many classes.

    Args:
        num_classes: Number of classes.
        features: Numbers per row.
        hidden_units: Width of the hidden layer.
        hidden_activation: Keras name of its activation.
        input_shape: (features,), in place of `features`.
        classifier_activation: Keras name of the head's activation; None or "linear" returns logits.
        dropout: Fraction of the hidden outputs dropped while training, in [0, 1).
        l2: Penalty on the squares of the kernels.

    Returns:
        Uncompiled model from "features" float [N, features] to "predictions" float [N, num_classes].

    Raises:
        ArgumentError: An argument out of its range.
    """
    rows = keras.Input((vector_width(input_shape, features),), name="features")
    hidden = _hidden(rows, hidden_units, hidden_activation, dropout, l2)
    scores = dense_head(hidden, num_classes, activation=classifier_activation, l2=l2)
    return keras.Model(rows, scores, name="softmax_1000")


def _hidden(rows: Any, units: int, activation: str, dropout: float, l2: float) -> Any:
    hidden = keras.layers.Dense(check_count("hidden_units", units), activation=activation,
                                kernel_regularizer=l2_penalty(l2), name="hidden")(rows)
    return keras.layers.Dropout(dropout, name="dropout")(hidden) if check_rate("dropout", dropout) else hidden
