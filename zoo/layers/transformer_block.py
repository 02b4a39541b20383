"""One block of a Transformer: attention and a feed-forward net, each with a residual sum and a normalisation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from zoo.layers.activation import activation_function
from zoo.layers.arguments import check_choice, check_count, check_rate
from zoo.layers.self_attention import SelfAttention, attention_bias, normal_or_glorot

NORMALISATIONS = ("post", "pre")


@keras.saving.register_keras_serializable(package="zoo")
class TransformerBlock(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A Transformer block over float [N, steps, width], with the same shape as result.

    Args:
        heads: Attention heads; they divide the width where no `head_size` is given.
        intermediate_size: Width inside the feed-forward net.
        head_size: Width of one head; None for width / heads. See `SelfAttention`.
        normalisation: "post" normalises each residual sum (BERT), "pre" the input of each part (GPT-2).
        causal: Whether a step sees only itself and earlier ones.
        activation: Name of the feed-forward net's activation; see `zoo.layers.activation`.
        epsilon: Added to the variance in the normalisations.
        dropout: Fraction of each part's result dropped while training, in [0, 1).
        attention_dropout: Fraction of the attention weights dropped while training, in [0, 1).
        kernel_stddev: Standard deviation of the initial kernels; None for Glorot's.
        residual_stddev: The same for the kernels before the residual sums; None for `kernel_stddev`.
        **kwargs: Arguments of every Keras layer, such as `name`.

    Attributes:
        attention: The `SelfAttention`.
        attention_norm: Its normalisation.
        intermediate: First dense layer of the feed-forward net, with the activation.
        projection: Second dense layer, named "output".
        output_norm: Its normalisation.
    """

    def __init__(self, heads: int, intermediate_size: int, *, head_size: int | None = None,
                 normalisation: str = "post", causal: bool = False, activation: str = "gelu",
                 epsilon: float = 1e-12, dropout: float = 0.0, attention_dropout: float = 0.0,
                 kernel_stddev: float | None = 0.02, residual_stddev: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.intermediate_size = check_count("intermediate_size", intermediate_size)
        self.normalisation = check_choice("normalisation", normalisation, NORMALISATIONS)
        self.activation = activation
        self.epsilon = float(epsilon)
        self.dropout = check_rate("dropout", dropout)
        self.kernel_stddev = kernel_stddev
        self.residual_stddev = residual_stddev
        self.supports_masking = True
        own: dict[str, Any] = {"dtype": self.dtype_policy}
        self.attention = SelfAttention(heads, head_size=head_size, causal=causal, dropout=attention_dropout,
                                       kernel_stddev=kernel_stddev, output_stddev=residual_stddev, name="attention",
                                       **own)
        self.attention_norm = keras.layers.LayerNormalization(epsilon=self.epsilon, name="attention_norm", **own)
        self.intermediate = keras.layers.Dense(self.intermediate_size, activation=activation_function(activation),
                                               kernel_initializer=normal_or_glorot(kernel_stddev),
                                               name="intermediate", **own)
        self.output_norm = keras.layers.LayerNormalization(epsilon=self.epsilon, name="output_norm", **own)
        self.residual_dropout = keras.layers.Dropout(self.dropout, name="dropout", **own) if self.dropout else None

    def build(self, inputs_shape: tuple[int | None, ...], padding_mask_shape: Any = None) -> None:
        """Makes the parts for inputs of the width `inputs_shape[-1]`."""
        width = inputs_shape[-1]
        self.projection = keras.layers.Dense(width, name="output", dtype=self.dtype_policy,
                                             kernel_initializer=normal_or_glorot(self.residual_stddev
                                                                                 or self.kernel_stddev))
        self.attention.build(inputs_shape)
        self.attention_norm.build((None, width))
        self.intermediate.build((None, width))
        self.projection.build((None, self.intermediate_size))
        self.output_norm.build((None, width))

    def call(self, inputs: Any, padding_mask: Any = None, training: bool | None = None) -> Any:
        """Returns float [N, steps, width]; `padding_mask` int [N, steps] is 1 for a token and 0 for padding."""
        shape = ops.shape(inputs)
        bias = attention_bias(padding_mask, shape[1], causal=self.attention.causal)
        x = ops.reshape(inputs, (-1, inputs.shape[-1]))  # matrices, so that TensorFlow joins products and biases

        def attend(rows: Any) -> Any:
            return self._drop(self.attention.attend(rows, shape[0], shape[1], bias, training=training), training)

        if self.normalisation == "post":
            x = self.attention_norm(attend(x) + x)
            x = self.output_norm(self._feed_forward(x, training) + x)
        else:
            x = attend(self.attention_norm(x)) + x
            x = self._feed_forward(self.output_norm(x), training) + x
        return ops.reshape(x, shape)

    def _feed_forward(self, rows: Any, training: bool | None) -> Any:
        return self._drop(self.projection(self.intermediate(rows)), training)

    def _drop(self, x: Any, training: bool | None) -> Any:
        return x if self.residual_dropout is None else self.residual_dropout(x, training=training)

    def compute_output_shape(self, inputs_shape: tuple[int | None, ...],
                             padding_mask_shape: Any = None) -> tuple[int | None, ...]:
        """Returns the input's shape."""
        return tuple(inputs_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that build an equal layer."""
        return {**super().get_config(), "heads": self.attention.heads, "intermediate_size": self.intermediate_size,
                "head_size": self.attention.head_size, "normalisation": self.normalisation,
                "causal": self.attention.causal, "activation": self.activation, "epsilon": self.epsilon,
                "dropout": self.dropout, "attention_dropout": self.attention.dropout,
                "kernel_stddev": self.kernel_stddev, "residual_stddev": self.residual_stddev}
