"""One step of a sequence: a Vision Transformer's class token (the first), a forecast's last step."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="zoo")
class TakeStep(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Takes one step: float [N, steps, features] becomes [N, features]. It has no parameters.

    Args:
        index: Position of the step; negative counts from the end.
        **kwargs: Arguments of every Keras layer, such as `name`.
    """

    def __init__(self, index: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.index = int(index)

    def call(self, inputs: Any) -> Any:
        """Returns that step of every sequence, [N, features]."""
        return inputs[:, self.index]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns (N, features)."""
        return input_shape[0], input_shape[2]

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build an equal layer."""
        return {**super().get_config(), "index": self.index}
