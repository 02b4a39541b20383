"""The encoder-decoder transformer of "Attention Is All You Need" for series of vectors.

Normalisation follows each residual sum ("post-norm"), and encoder and decoder end in one more, so the parameters are
those of `torch.nn.Transformer` of the same sizes with a linear layer behind it.
"""

from __future__ import annotations

from typing import Any

import keras

from zoo.errors import ArgumentError
from zoo.layers.arguments import check_count, check_rate, l2_penalty
from zoo.layers.dense_head import dense_head
from zoo.layers.sinusoidal_positions import SinusoidalPositions
from zoo.layers.take_step import TakeStep

EPSILON = 1e-5


def transformer(*, d_model: int = 512, heads: int = 8, encoder_layers: int = 3, decoder_layers: int = 3,
                feed_forward: int = 2048, outputs: int = 1, features: int | None = None, steps: int | None = None,
                per_step: bool = True, dropout: float = 0.1, l2: float = 0.0) -> keras.Model:
    """Builds an encoder-decoder transformer with one linear output.

    The decoder sees the whole source, and of the target only the steps up to the one that it predicts for.

    Args:
        d_model: Width of the vectors inside; a multiple of `heads`.
        heads: Attention heads per layer.
        encoder_layers: Layers of the encoder.
        decoder_layers: Layers of the decoder.
        feed_forward: Width inside the feed-forward blocks.
        outputs: Numbers that the linear output gives per step.
        features: Numbers per step of both inputs, which a linear layer then widens to `d_model`; None means that
            they are `d_model` wide already.
        steps: Length of both inputs; None takes any length, and each its own.
        per_step: Whether there is an output for every target step; otherwise only for the last one.
        dropout: Fraction dropped behind each block while training, in [0, 1).
        l2: Penalty on the squares of the feed-forward and output kernels.

    Returns:
        Uncompiled model from "source" and "target", float [N, steps, features or d_model], to "predictions" float
        [N, target steps, outputs], or [N, outputs] without `per_step`.

    Raises:
        ArgumentError: An argument out of its range, or a width that the heads do not divide.
    """
    if check_count("d_model", d_model) % check_count("heads", heads):
        raise ArgumentError(f"`d_model` must be a multiple of `heads`. Received: d_model={d_model}, heads={heads}")
    check_rate("dropout", dropout)
    width = d_model if features is None else check_count("features", features)
    length = None if steps is None else check_count("steps", steps)
    source = keras.Input((length, width), name="source")
    target = keras.Input((length, width), name="target")
    sizes: dict[str, Any] = {"heads": heads, "feed_forward": feed_forward, "dropout": dropout, "l2": l2}

    memory = _embed(source, "source", d_model, features is not None, dropout)
    for index in range(1, check_count("encoder_layers", encoder_layers) + 1):
        memory = _encoder_layer(memory, f"encoder_{index}", **sizes)
    memory = _normalise(memory, "encoder_norm")

    x = _embed(target, "target", d_model, features is not None, dropout)
    for index in range(1, check_count("decoder_layers", decoder_layers) + 1):
        x = _decoder_layer(x, memory, f"decoder_{index}", **sizes)
    x = _normalise(x, "decoder_norm")
    if not per_step:
        x = TakeStep(-1, name="last_step")(x)
    values = dense_head(x, outputs, l2=l2, units_name="outputs")
    return keras.Model([source, target], values, name="transformer")


def _embed(x: Any, name: str, d_model: int, project: bool, dropout: float) -> Any:
    if project:
        x = keras.layers.Dense(d_model, name=f"{name}_projection")(x)
    x = SinusoidalPositions(name=f"{name}_positions")(x)
    return _drop(x, f"{name}_dropout", dropout)


def _encoder_layer(x: Any, name: str, *, heads: int, feed_forward: int, dropout: float, l2: float) -> Any:
    x = _attend(x, x, f"{name}_attention", heads, dropout)
    return _feed_forward(x, f"{name}_feed_forward", feed_forward, dropout, l2)


def _decoder_layer(x: Any, memory: Any, name: str, *, heads: int, feed_forward: int, dropout: float,
                   l2: float) -> Any:
    x = _attend(x, x, f"{name}_self_attention", heads, dropout, causal=True)
    x = _attend(x, memory, f"{name}_cross_attention", heads, dropout)
    return _feed_forward(x, f"{name}_feed_forward", feed_forward, dropout, l2)


def _attend(x: Any, memory: Any, name: str, heads: int, dropout: float, *, causal: bool = False) -> Any:
    attention = keras.layers.MultiHeadAttention(heads, x.shape[-1] // heads, dropout=dropout, name=name)
    return _join(x, attention(x, memory, use_causal_mask=causal), name, dropout)


def _feed_forward(x: Any, name: str, width: int, dropout: float, l2: float) -> Any:
    y = keras.layers.Dense(check_count("feed_forward", width), activation="relu", kernel_regularizer=l2_penalty(l2),
                           name=f"{name}_inner")(x)
    y = _drop(y, f"{name}_inner_dropout", dropout)
    y = keras.layers.Dense(x.shape[-1], kernel_regularizer=l2_penalty(l2), name=f"{name}_outer")(y)
    return _join(x, y, name, dropout)


def _join(x: Any, change: Any, name: str, dropout: float) -> Any:
    total = keras.layers.Add(name=f"{name}_add")([x, _drop(change, f"{name}_dropout", dropout)])
    return _normalise(total, f"{name}_norm")


def _normalise(x: Any, name: str) -> Any:
    return keras.layers.LayerNormalization(epsilon=EPSILON, name=name)(x)


def _drop(x: Any, name: str, rate: float) -> Any:
    return keras.layers.Dropout(rate, name=name)(x) if rate else x
