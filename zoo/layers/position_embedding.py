"""Learnt vectors of positions, added to a sequence."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from zoo.errors import ArgumentError
from zoo.layers.arguments import check_count


@keras.saving.register_keras_serializable(package="zoo")
class PositionEmbedding(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Adds to each step of float [N, steps, width] the vector of its position.

    Args:
        max_positions: Rows of the table "embeddings" [max_positions, width].
        offset: Row of the first step; models of the RoBERTa kind leave some rows out.
        stddev: Standard deviation of the initial vectors.
        **kwargs: Arguments of every Keras layer, such as `name`.
    """

    def __init__(self, max_positions: int, *, offset: int = 0, stddev: float = 0.02, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_positions = check_count("max_positions", max_positions)
        self.offset = check_count("position_offset", offset, minimum=0)
        if self.offset >= self.max_positions:
            raise ArgumentError(f"`position_offset` must be below `max_positions` ({max_positions}). "
                                f"Received: {offset}")
        self.stddev = stddev
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the table for inputs of the width `input_shape[-1]`."""
        self.embeddings = self.add_weight(shape=(self.max_positions, input_shape[-1]), name="embeddings",
                                          initializer=keras.initializers.TruncatedNormal(stddev=self.stddev))

    def call(self, inputs: Any) -> Any:
        """Returns `inputs` plus the vectors of positions, same shape and dtype."""
        longest = self.max_positions - self.offset
        if inputs.shape[1] is not None and inputs.shape[1] > longest:
            raise ArgumentError(f"The model reads up to {longest} tokens and {inputs.shape[1]} came. Shorten the "
                                "text, or build the model with a larger `max_positions`.")
        rows = ops.slice(self.embeddings, (self.offset, 0), (ops.shape(inputs)[1], inputs.shape[-1]))
        return inputs + ops.cast(rows, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build an equal layer."""
        return {**super().get_config(), "max_positions": self.max_positions, "offset": self.offset,
                "stddev": self.stddev}
