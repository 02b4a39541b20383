"""Linear regression: the smallest model there is, y = Wx + b."""

from __future__ import annotations

import keras

from zoo.layers.arguments import vector_width
from zoo.layers.dense_head import dense_head


def linear_regression(*, features: int = 1, outputs: int = 1, input_shape: tuple[int, ...] | None = None,
                      l2: float = 0.0) -> keras.Model:
    """Builds y = Wx + b.

    Args:
        features: Numbers per row.
        outputs: Numbers to predict per row.
        input_shape: (features,), in place of `features`.
        l2: Penalty on the squares of W (ridge regression).

    Returns:
        Uncompiled model from "features" float [N, features] to "predictions" float [N, outputs].

    Raises:
        ArgumentError: A count below 1 or a negative penalty.
    """
    rows = keras.Input((vector_width(input_shape, features),), name="features")
    values = dense_head(rows, outputs, l2=l2, units_name="outputs")
    return keras.Model(rows, values, name="linear_regression")
