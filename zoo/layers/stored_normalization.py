"""Normalisation of pixels whose mean and variance are kept with the weights, as EfficientNet's files have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="zoo")
class StoredNormalization(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Returns `(x - mean) / sqrt(variance) * scale` per channel, with mean and variance as frozen weights.

    It takes the place of an un-adapted `keras.layers.Normalization` and has the same three weights in the same order
    (mean, variance, count), so published files fit. Unlike Keras's layer it reads the weights at every call: whoever
    assigns them (a checkpoint, a safetensors file) needs no `finalize_state()` for them to take effect.

    Input and output: float [..., channels].

    Args:
        mean: Initial mean per channel, or one number for all.
        variance: Initial variance per channel, or one number for all; positive.
        scale: Constant factor per channel, or one number for all; it is no weight.
        **kwargs: Arguments of every Keras layer, such as `name`.
    """

    def __init__(self, mean: float | Sequence[float] = 0.0, variance: float | Sequence[float] = 1.0,
                 scale: float | Sequence[float] = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial_mean = mean
        self.initial_variance = variance
        self.scale = scale
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights mean [channels], variance [channels] and count []."""
        channels = (input_shape[-1],)
        constant = keras.initializers.Constant
        self.mean = self.add_weight(name="mean", shape=channels, trainable=False,
                                    initializer=constant(np.asarray(self.initial_mean, "float32")))
        self.variance = self.add_weight(name="variance", shape=channels, trainable=False,
                                        initializer=constant(np.asarray(self.initial_variance, "float32")))
        # Keras's layer counts the batches of adapt() here; nothing reads it, the files have it.
        self.count = self.add_weight(name="count", shape=(), dtype="int", trainable=False, initializer="zeros")

    def call(self, inputs: Any) -> Any:
        """Returns the normalised pixels, same shape."""
        mean, variance = ops.cast(self.mean, inputs.dtype), ops.cast(self.variance, inputs.dtype)
        scale = ops.cast(ops.convert_to_tensor(self.scale, "float32"), inputs.dtype)
        return (inputs - mean) / ops.maximum(ops.sqrt(variance), keras.config.epsilon()) * scale

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build an equal layer."""
        return {**super().get_config(), "mean": _plain(self.initial_mean), "variance": _plain(self.initial_variance),
                "scale": _plain(self.scale)}


def _plain(value: float | Sequence[float]) -> float | list[float]:
    return float(value) if isinstance(value, int | float) else [float(item) for item in value]
