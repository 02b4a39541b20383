"""What all networks from `keras.applications` share: the trunk comes from Keras, input, pooling and head from here.

Building the head ourselves gives every model the same options and names (input "image", head "predictions") and
lifts Keras's limits (any size with a head where the head pools, logits, head dropout). The layers with parameters
stay those of Keras in number, shape and order, so that the published weight files fit; a test holds us to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from zoo.layers.arguments import check_choice, check_count, check_rate, image_shape
from zoo.layers.dense_head import dense_head

Builder = Callable[..., keras.Model]
Constructor = Callable[..., keras.Model]
# From the trunk's output [N, h, w, c] to the input of the last dense layer; takes the head's dropout rate.
Neck = Callable[[Any, float], Any]
# From that, with the class count and the activation, to the predictions [N, classes].
Classifier = Callable[[Any, int, str | None], Any]
# From the trunk as Keras builds it to its output tensor.
Trunk = Callable[[keras.Model], Any]

POOLINGS = {None: None, "avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}


def pool(x: Any, pooling: str | None) -> Any:
    """Reduces a feature map [N, h, w, c] to [N, c] by "avg" or "max"; None leaves it as it is.

    Raises:
        ArgumentError: Another name.
    """
    layer = POOLINGS[check_choice("pooling", pooling, POOLINGS)]
    return x if layer is None else layer(name=f"{pooling}_pool")(x)


def drop(x: Any, rate: float) -> Any:
    """Drops a fraction of the head's input while training; 0 adds no layer."""
    return keras.layers.Dropout(rate, name="top_dropout")(x) if rate else x


def pooled_neck(x: Any, dropout: float) -> Any:
    """Averages the feature map [N, h, w, c] to [N, c], as most heads do."""
    return drop(pool(x, "avg"), dropout)


def dense_classifier(x: Any, num_classes: int, activation: str | None) -> Any:
    """Adds the dense layer "predictions", [N, num_classes]."""
    return dense_head(x, num_classes, activation=activation)


def plain_trunk(trunk: keras.Model) -> Any:
    """Returns the output of Keras's network without its head."""
    return trunk.output


def application_builder(constructor: Constructor, name: str, size: int, *, minimum: int = 32, dropout: float = 0.0,
                        trunk: Trunk = plain_trunk, neck: Neck = pooled_neck, features: Neck | None = None,
                        classifier: Classifier = dense_classifier, fixed_size: bool = False) -> Builder:
    """Makes the builder of one network.

    Args:
        constructor: Function of `keras.applications`.
        name: Name of the models that it builds.
        size: Default height and width in pixels.
        minimum: Smallest height and width.
        dropout: Default dropout rate in front of the last layer.
        trunk: Takes what the constructor built without a head and returns the feature map.
        neck: What stands between the feature map and the last layer.
        features: What follows the pooling where there is no head; nothing by default.
        classifier: The last layer.
        fixed_size: Whether the head's parameters depend on the picture size.

    Returns:
        A builder with keyword-only options.
    """
    default_dropout = dropout

    def build(*, num_classes: int = 1000, include_top: bool = True, pooling: str | None = None,
              input_shape: tuple[int | None, ...] | None = None, classifier_activation: str | None = "softmax",
              dropout: float = default_dropout) -> keras.Model:
        shape = image_shape(input_shape, (size, size, 3), minimum, fixed=include_top and fixed_size)
        check_rate("dropout", dropout)
        image = keras.Input(shape, name="image")
        x = trunk(constructor(include_top=False, weights=None, input_tensor=image, input_shape=shape, pooling=None))
        if include_top:
            x = classifier(neck(x, dropout), check_count("num_classes", num_classes), classifier_activation)
        else:
            x = pool(x, pooling)
            x = features(x, dropout) if features else x
        return keras.Model(image, x, name=name)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"""Builds {name}.

    Args:
        num_classes: Number of classes.
        include_top: Whether the classification head is built; without it the model returns features.
        pooling: Without a head: None returns the feature map, "avg" or "max" reduces it over height and width.
        input_shape: (height, width, channels); ({size}, {size}, 3) by default, at least {minimum} pixels.
        classifier_activation: Keras name of the head's activation; None or "linear" returns logits.
        dropout: Fraction dropped in front of the last layer while training, in [0, 1).

    Returns:
        Uncompiled model from "image" float [N, height, width, channels] to "predictions" float [N, num_classes], or
        to features float [N, h, w, c] or [N, c].

    Raises:
        ArgumentError: An argument out of its range.
    """
    return build
