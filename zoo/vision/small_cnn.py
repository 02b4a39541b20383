"""Three small convolutional networks: digits (28 x 28), CIFAR (32 x 32) and ImageNet (224 x 224).

All convolutions are 3 x 3 with ReLU and without padding (Keras's "valid"), all pooling takes the maximum of 2 x 2.
"""

from __future__ import annotations

from typing import Any

import keras

from zoo.layers.arguments import check_choice, check_count, check_rate, image_shape, l2_penalty
from zoo.layers.dense_head import dense_head

POOLINGS = {None: None, "avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}


def mnist_cnn(*, num_classes: int = 10, include_top: bool = True, pooling: str | None = None,
              input_shape: tuple[int, int, int] | None = None, classifier_activation: str | None = "softmax",
              filters: int = 10, dropout: float = 0.0, l2: float = 0.0) -> keras.Model:
    """Builds Conv 10 -> Flatten -> Dense 10 softmax for grey pictures of digits.

    Args:
        num_classes: Number of classes.
        include_top: Whether the classification head is built; without it the model returns the feature map.
        pooling: Without a head: None, "avg" or "max" over height and width.
        input_shape: (height, width, channels); (28, 28, 1) by default.
        classifier_activation: Keras name of the head's activation; None or "linear" returns logits.
        filters: Filters of the convolution.
        dropout: Fraction of the flattened features dropped while training, in [0, 1).
        l2: Penalty on the squares of the kernels.

    Returns:
        Uncompiled model from "image" float [N, height, width, channels] to "predictions" float [N, num_classes].

    Raises:
        ArgumentError: An argument out of its range.
    """
    image = keras.Input(image_shape(input_shape, (28, 28, 1), minimum=3, fixed=include_top), name="image")
    x = _convolution(image, filters, 1, l2)
    if include_top:
        x = keras.layers.Flatten(name="flatten")(x)
    x = _top(x, num_classes, classifier_activation, dropout, l2) if include_top else _pool(x, pooling)
    return keras.Model(image, x, name="mnist_cnn")


def cifar_cnn(*, num_classes: int = 10, include_top: bool = True, pooling: str | None = None,
              input_shape: tuple[int, int, int] | None = None, classifier_activation: str | None = "softmax",
              units: int = 1024, dropout: float = 0.0, l2: float = 0.0) -> keras.Model:
    """Builds Conv 64 -> pool -> Conv 128 -> pool -> Dense 1024 -> Dense 10 softmax for small colour pictures.

    Args:
        num_classes: Number of classes.
        include_top: Whether the dense layers are built; without them the model returns the feature map.
        pooling: Without a head: None, "avg" or "max" over height and width.
        input_shape: (height, width, channels); (32, 32, 3) by default, at least 10 pixels.
        classifier_activation: Keras name of the head's activation; None or "linear" returns logits.
        units: Width of the hidden dense layer.
        dropout: Fraction of the hidden outputs dropped while training, in [0, 1).
        l2: Penalty on the squares of the kernels.

    Returns:
        Uncompiled model from "image" float [N, height, width, channels] to "predictions" float [N, num_classes].

    Raises:
        ArgumentError: An argument out of its range.
    """
    return _pooled_cnn("cifar_cnn", (64, 128), image_shape(input_shape, (32, 32, 3), minimum=10, fixed=include_top),
                       units, num_classes, include_top, pooling, classifier_activation, dropout, l2)


def imagenet_cnn(*, num_classes: int = 1000, include_top: bool = True, pooling: str | None = None,
                 input_shape: tuple[int, int, int] | None = None, classifier_activation: str | None = "softmax",
                 units: int = 128, dropout: float = 0.0, l2: float = 0.0) -> keras.Model:
    """Builds Conv 32, 64, 128, each with pooling -> Dense 128 -> Dense 1000 softmax for photographs.

    Args:
        num_classes: Number of classes.
        include_top: Whether the dense layers are built; without them the model returns the feature map.
        pooling: Without a head: None, "avg" or "max" over height and width.
        input_shape: (height, width, channels); (224, 224, 3) by default, at least 22 pixels.
        classifier_activation: Keras name of the head's activation; None or "linear" returns logits.
        units: Width of the hidden dense layer.
        dropout: Fraction of the hidden outputs dropped while training, in [0, 1).
        l2: Penalty on the squares of the kernels.

    Returns:
        Uncompiled model from "image" float [N, height, width, channels] to "predictions" float [N, num_classes].

    Raises:
        ArgumentError: An argument out of its range.
    """
    return _pooled_cnn("imagenet_cnn", (32, 64, 128),
                       image_shape(input_shape, (224, 224, 3), minimum=22, fixed=include_top),
                       units, num_classes, include_top, pooling, classifier_activation, dropout, l2)


def _pooled_cnn(name: str, filters: tuple[int, ...], shape: tuple[int | None, ...], units: int, num_classes: int,
                include_top: bool, pooling: str | None, activation: str | None, dropout: float,
                l2: float) -> keras.Model:
    image = keras.Input(shape, name="image")
    x = image
    for index, count in enumerate(filters, start=1):
        x = _convolution(x, count, index, l2)
        x = keras.layers.MaxPooling2D(name=f"pool_{index}")(x)
    if not include_top:
        return keras.Model(image, _pool(x, pooling), name=name)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(check_count("units", units), activation="relu", kernel_regularizer=l2_penalty(l2),
                           name="hidden")(x)
    return keras.Model(image, _top(x, num_classes, activation, dropout, l2), name=name)


def _convolution(x: Any, filters: int, index: int, l2: float) -> Any:
    return keras.layers.Conv2D(check_count("filters", filters), 3, activation="relu",
                               kernel_regularizer=l2_penalty(l2), name=f"conv_{index}")(x)


def _top(x: Any, num_classes: int, activation: str | None, dropout: float, l2: float) -> Any:
    if check_rate("dropout", dropout):
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    return dense_head(x, num_classes, activation=activation, l2=l2)


def _pool(x: Any, pooling: str | None) -> Any:
    layer = POOLINGS[check_choice("pooling", pooling, POOLINGS)]
    return x if layer is None else layer(name=f"{pooling}_pool")(x)
