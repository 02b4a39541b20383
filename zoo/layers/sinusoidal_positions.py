"""The fixed position signal of "Attention Is All You Need" (https://arxiv.org/abs/1706.03762, section 3.5)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from zoo.errors import ArgumentError


@keras.saving.register_keras_serializable(package="zoo")
class SinusoidalPositions(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Adds to every step of a sequence the sines and cosines of its position; it has no parameters.

    Even features carry sin(position / wavelength), odd ones the cosine, with wavelengths in a geometric series from
    2 pi to `longest * 2 pi` steps. Input and output: float [N, steps, features]; any number of steps.

    Args:
        longest: Base of the longest wavelength; 10000 in the paper.
        **kwargs: Arguments of every Keras layer, such as `name`.
    """

    def __init__(self, *, longest: float = 10000.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if longest <= 1:
            raise ArgumentError(f"`longest` must be larger than 1. Received: {longest}")
        self.longest = float(longest)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Returns `inputs` plus the position signal, same shape and dtype."""
        steps, features = ops.shape(inputs)[1], inputs.shape[-1]
        position = ops.cast(ops.expand_dims(ops.arange(steps), 1), "float32")  # [steps, 1]
        index = ops.arange(features, dtype="float32")  # [features]
        even = 2.0 * ops.floor(index / 2.0)
        angle = position * ops.power(self.longest, -even / features)  # [steps, features]
        signal = ops.where(ops.equal(index, even), ops.sin(angle), ops.cos(angle))
        return inputs + ops.cast(signal, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build an equal layer."""
        return {**super().get_config(), "longest": self.longest}
