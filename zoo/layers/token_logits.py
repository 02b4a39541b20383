"""The end of a head that scores every token of the vocabulary: an optional bias, in float32."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="zoo")
class TokenLogits(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Adds a bias to scores float [N, steps, vocabulary], which `TokenEmbedding` made in reverse.

    Args:
        use_bias: Whether there is a bias [vocabulary]; without it the layer has no parameters.
        **kwargs: Arguments of every Keras layer, such as `name`.
    """

    def __init__(self, *, use_bias: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.use_bias = bool(use_bias)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the bias for `input_shape[-1]` tokens."""
        if self.use_bias:
            self.bias = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """Returns the scores, same shape, in the layer's compute dtype."""
        return inputs + self.bias if self.use_bias else ops.cast(inputs, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build an equal layer."""
        return {**super().get_config(), "use_bias": self.use_bias}
