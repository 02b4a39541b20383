"""The moving statistics of batch normalisations, measured anew after a cut has changed what comes in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf


def measure_statistics(model: keras.Model, batches: Iterable[Any]) -> int:
    """Sets the moving means and variances to their averages over some batches.

    A training would take hundreds of steps to bring them there, with the momentum of 0.99 that is usual. Nothing else
    of the model changes; frozen normalisations keep what they have.

    Args:
        model: A built model.
        batches: (inputs, targets) each.

    Returns:
        How many normalisations were measured.
    """
    layers = list(model._flatten_layers(include_self=False))  # Keras has no public walk
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable]
    dropouts = [layer for layer in layers if isinstance(layer, keras.layers.Dropout)]
    if not norms:
        return 0
    momenta, rates = [norm.momentum for norm in norms], [dropout.rate for dropout in dropouts]

    @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
    def measure(inputs: Any, momentum: Any) -> None:
        for norm in norms:
            norm.momentum = momentum
        model(inputs, training=True)

    try:
        for dropout in dropouts:
            dropout.rate = 0.0
        for number, (inputs, *_) in enumerate(batches):
            measure(inputs, tf.constant(number / (number + 1)))  # which makes the moving value the plain average
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for dropout, rate in zip(dropouts, rates, strict=True):
            dropout.rate = rate
    return len(norms)
