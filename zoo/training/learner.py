"""What Keras compiles and fits where a technique changes the loss: the model, and the terms beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from zoo.training.technique import LossTerm


class Learner(keras.Model):  # type: ignore[misc]  # Keras has no types
    """A model whose training loss has further terms; it shares all parameters with the model.

    Args:
        model: The functional model that learns.
        terms: What changes the loss, in this order.
    """

    def __init__(self, model: keras.Model, terms: Sequence[LossTerm]) -> None:
        super().__init__(name=f"{model.name}_learner")
        self.model = model
        self.tapped = keras.Model(model.input, [*model.outputs, *(tap for term in terms for tap in term.taps)])
        self.beside = [layer for term in terms for layer in term.layers]
        self.terms = tuple(terms)
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the model's answer; while training a tuple of it and the values of all taps."""
        if not training:
            return self.model(inputs, training=False)
        outputs = self.tapped(inputs, training=True)
        outputs = outputs if isinstance(outputs, list | tuple) else (outputs,)
        return outputs[0], tuple(outputs[1:])

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
                     training: bool = True) -> Any:
        """Returns the plain loss, and while training what the terms make of it."""
        if not training:
            return super().compute_loss(x, y, y_pred, sample_weight, training=False)
        outputs, values = y_pred
        loss = super().compute_loss(x, y, outputs, sample_weight, training=True)
        for term in self.terms:
            own, values = values[:len(term.taps)], values[len(term.taps):]
            loss = term.total(loss, x, y, outputs, own)
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Measures the model's answer alone."""
        outputs = y_pred[0] if isinstance(y_pred, tuple) else y_pred
        return super().compute_metrics(x, y, outputs, sample_weight)
