"""The table of token vectors, which a tied head uses a second time to turn vectors back into scores of tokens."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="zoo")
class TokenEmbedding(keras.layers.ReversibleEmbedding):  # type: ignore[misc]  # Keras has no types
    """Turns int ids [N, steps] into vectors [N, steps, width], and with `reverse=True` vectors into scores.

    Its only variable is "embeddings" [vocabulary, width]. It differs from its parent by the product of matrices, in
    which a graph needs no transposed copy of the table.

    Args:
        input_dim: Size of the vocabulary.
        output_dim: Width of the vectors.
        **kwargs: Other arguments of `keras.layers.ReversibleEmbedding`.
    """

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        """Returns vectors float [N, steps, width], or in reverse scores float [N, steps, vocabulary]."""
        if not reverse:
            return super().call(inputs)
        shape = ops.shape(inputs)
        scores = super().call(ops.reshape(inputs, (-1, inputs.shape[-1])), reverse=True)
        return ops.reshape(scores, (*shape[:-1], self.input_dim))

    def quantize(self, mode: str | None = None, type_check: bool = True, config: Any = None) -> None:
        """Stores the table in few bits ("int8", "int4"), as its parent does, which refuses its subclasses by type."""
        del type_check
        super().quantize(mode, type_check=False, config=config)
