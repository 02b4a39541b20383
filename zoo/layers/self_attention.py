"""Attention of a sequence to itself, laid out so that a plain TensorFlow graph computes it fast."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from zoo.errors import ArgumentError
from zoo.layers.arguments import check_count, check_rate

# Added to the score of a step that must not be seen: its weight becomes exactly 0, and a row in which no step may be
# seen stays finite (an infinite value would make it not-a-number).
HIDDEN = -1e9


def attention_bias(padding_mask: Any | None, length: Any, *, causal: bool) -> Any | None:
    """Returns what is added to the attention scores, float32 [N or 1, 1, length or 1, length], or None for nothing.

    Args:
        padding_mask: int or bool [N, length], 1 for a token and 0 for padding; None where there is no padding.
        length: Number of steps, a number or a scalar tensor.
        causal: Whether a step sees only itself and earlier ones.
    """
    bias = None
    if padding_mask is not None:
        hidden = 1.0 - ops.cast(padding_mask, "float32")
        bias = hidden[:, None, None, :] * HIDDEN
    if causal:
        position = ops.arange(length)
        later = ops.cast(position[None, :] > position[:, None], "float32") * HIDDEN
        later = later[None, None]
        bias = later if bias is None else bias + later
    return bias


@keras.saving.register_keras_serializable(package="zoo")
class SelfAttention(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Multi-head attention of float [N, steps, width] to itself, with the same shape as result.

    One product makes queries, keys and values: kernel [width, 3 width], in this order along the last axis, each head
    by head. The products are of matrices (the batch and the steps are one axis), which TensorFlow joins with the bias
    behind them. Scores are weighed in float32 under every dtype policy.

    Args:
        heads: Number of heads; it divides the width where no `head_size` is given.
        head_size: Width of one head, for a layer with fewer heads than the width has room for, as pruning leaves it;
            None for width / heads. The kernels are [width, 3 heads head_size] and [heads head_size, width] then.
        causal: Whether a step sees only itself and earlier ones.
        dropout: Fraction of the attention weights dropped while training, in [0, 1).
        kernel_stddev: Standard deviation of the initial kernels; None for Glorot's.
        output_stddev: The same for the output kernel; None for `kernel_stddev`.
        **kwargs: Arguments of every Keras layer, such as `name`.

    Attributes:
        qkv: The dense layer "qkv".
        projection: The dense layer "output".
    """

    def __init__(self, heads: int, *, head_size: int | None = None, causal: bool = False, dropout: float = 0.0,
                 kernel_stddev: float | None = 0.02, output_stddev: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = check_count("heads", heads)
        self.head_size = None if head_size is None else check_count("head_size", head_size)
        self.causal = bool(causal)
        self.dropout = check_rate("dropout", dropout)
        self.kernel_stddev = kernel_stddev
        self.output_stddev = output_stddev
        self.supports_masking = True
        self.weight_dropout = keras.layers.Dropout(self.dropout, name="dropout") if self.dropout else None

    def build(self, inputs_shape: tuple[int | None, ...], padding_mask_shape: Any = None) -> None:
        """Makes the two dense layers for inputs of the width `inputs_shape[-1]`."""
        width = inputs_shape[-1]
        if not isinstance(width, int) or (self.head_size is None and width % self.heads):
            raise ArgumentError(f"The width must be a multiple of `heads`. Received: width={width}, "
                                f"heads={self.heads}")
        inner = self.heads * (self.head_size or width // self.heads)
        self.qkv = keras.layers.Dense(3 * inner, kernel_initializer=normal_or_glorot(self.kernel_stddev), name="qkv",
                                      dtype=self.dtype_policy)
        self.projection = keras.layers.Dense(width, name="output", dtype=self.dtype_policy,
                                             kernel_initializer=normal_or_glorot(self.output_stddev
                                                                                 or self.kernel_stddev))
        self.qkv.build((None, width))
        self.projection.build((None, inner))

    def call(self, inputs: Any, padding_mask: Any = None, training: bool | None = None) -> Any:
        """Returns float [N, steps, width]; `padding_mask` int [N, steps] is 1 for a token and 0 for padding."""
        shape = ops.shape(inputs)
        bias = attention_bias(padding_mask, shape[1], causal=self.causal)
        rows = self.attend(ops.reshape(inputs, (-1, inputs.shape[-1])), shape[0], shape[1], bias, training=training)
        return ops.reshape(rows, shape)

    def attend(self, rows: Any, count: Any, steps: Any, bias: Any | None, *, training: bool | None = None) -> Any:
        """Attends over sequences whose steps lie below each other.

        Args:
            rows: float [N * steps, width].
            count: N, a number or a scalar tensor.
            steps: Steps per sequence, a number or a scalar tensor.
            bias: What `attention_bias` returned.
            training: Whether dropout is active.

        Returns:
            float [N * steps, width].
        """
        size = self.head_size or rows.shape[-1] // self.heads
        parts = ops.reshape(self.qkv(rows), (count, steps, 3, self.heads, size))
        parts = ops.transpose(parts, (2, 0, 3, 1, 4))  # one copy; the three slices of it below cost none
        query, key, value = parts[0] * (1.0 / math.sqrt(size)), parts[1], parts[2]  # [N, heads, steps, size] each
        scores = ops.cast(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))), "float32")
        # TensorFlow's own softmax: that of Keras warns of texts of a single token.
        weights = ops.cast(tf.nn.softmax(scores if bias is None else scores + bias), value.dtype)
        if self.weight_dropout is not None:
            weights = self.weight_dropout(weights, training=training)
        seen = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        return self.projection(ops.reshape(seen, (-1, self.heads * size)))

    def compute_output_shape(self, inputs_shape: tuple[int | None, ...],
                             padding_mask_shape: Any = None) -> tuple[int | None, ...]:
        """Returns the input's shape."""
        return tuple(inputs_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build an equal layer."""
        return {**super().get_config(), "heads": self.heads, "head_size": self.head_size, "causal": self.causal,
                "dropout": self.dropout, "kernel_stddev": self.kernel_stddev, "output_stddev": self.output_stddev}


def normal_or_glorot(stddev: float | None) -> keras.initializers.Initializer:
    """Returns the initializer of kernels: a truncated normal of that standard deviation, or Glorot's for None."""
    if stddev is None:
        return keras.initializers.GlorotUniform()
    return keras.initializers.TruncatedNormal(stddev=stddev)
