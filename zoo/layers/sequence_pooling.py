"""One vector per sequence: the mean or the maximum over its steps, without the padding."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from zoo.layers.arguments import check_choice

MODES = ("avg", "max")


@keras.saving.register_keras_serializable(package="zoo")
class SequencePooling(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Reduces float [N, steps, features] to [N, features] over the steps that the mask keeps.

    Keras's own GlobalMaxPooling1D ignores the mask, so that padding could win the maximum. A sequence that is all
    padding becomes zeros.

    Args:
        mode: "avg" or "max".
        **kwargs: Arguments of every Keras layer, such as `name`.
    """

    def __init__(self, mode: str = "avg", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mode = check_choice("mode", mode, MODES)
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Returns the pooled vectors [N, features]; `mask` is bool [N, steps] or None."""
        if mask is None:
            return ops.mean(inputs, axis=1) if self.mode == "avg" else ops.max(inputs, axis=1)
        kept = ops.expand_dims(ops.cast(mask, inputs.dtype), -1)  # [N, steps, 1]
        count = ops.sum(kept, axis=1)  # [N, 1]
        if self.mode == "avg":
            return ops.sum(inputs * kept, axis=1) / ops.maximum(count, 1)
        lowest = ops.full_like(inputs, float("-inf"))
        highest = ops.max(ops.where(ops.expand_dims(mask, -1), inputs, lowest), axis=1)
        return ops.where(count > 0, highest, ops.zeros_like(highest))

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Returns None: the steps, and with them the mask, are gone."""

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns (N, features)."""
        return input_shape[0], input_shape[2]

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build an equal layer."""
        return {**super().get_config(), "mode": self.mode}
