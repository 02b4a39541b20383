"""Networks to cut, with numbers that hide nothing, and the masked model that a cut one has to equal."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.compression.parts import Parts
from zoo.compression.surgery import copy_of


def randomised(model: keras.Model, seed: int = 0) -> keras.Model:
    """Gives a model biases and normalisations as training leaves them; zeros and ones would hide mistakes."""
    random = np.random.RandomState(seed)
    for variable in model.variables:
        shape = tuple(variable.shape)
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(random.uniform(0.5, 1.5, shape))
        elif variable.name in ("bias", "beta", "moving_mean"):
            variable.assign(random.normal(size=shape) * 0.2)
    return model


def masked(model: keras.Model, parts: Parts, removed: set[int]) -> keras.Model:
    """A copy of the same sizes in which nothing reads what was removed."""
    copy = copy_of(model)
    places = {id(variable): place for place, variable in enumerate(model.variables)}
    for use in parts.uses:
        if use.role == "reads":
            variable = copy.variables[places[id(use.variable)]]
            value = np.moveaxis(keras.ops.convert_to_numpy(variable).copy(), use.axis, 0)
            value[np.isin(parts.roots(use.atoms), list(removed))] = 0
            variable.assign(np.moveaxis(value, 0, use.axis))
    return copy


def answers(model: keras.Model, seed: int = 1, count: int = 2, length: int = 6) -> np.ndarray:
    """The model's answers to random inputs, the same for the same seed."""
    random = np.random.RandomState(seed)

    def given(tensor: Any) -> Any:
        shape = [count, *(length if size is None else size for size in tensor.shape[1:])]
        if tensor.name == "padding_mask":
            return np.array([[1] * length, [1] * (length - 2) + [0] * 2], "int32")
        return (random.randint(0, 2, shape).astype("int32") if "int" in tensor.dtype
                else random.normal(size=shape).astype("float32"))

    inputs = {tensor.name: given(tensor) for tensor in model.inputs}
    given_to_model = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    return np.asarray(keras.ops.convert_to_numpy(model(given_to_model, training=False)))


def branched(*, normalised: bool = True) -> keras.Model:
    """Sums, concatenation, depthwise and separable convolutions, squeeze and excitation, flattening, a shared layer."""
    keras.utils.set_random_seed(4)
    layers = keras.layers
    image = keras.Input((8, 8, 3), name="image")

    def norm(x: Any, name: str) -> Any:
        return layers.BatchNormalization(name=f"{name}_norm")(x) if normalised else x

    x = stem = layers.ReLU(name="stem_relu")(norm(layers.Conv2D(8, 3, padding="same", name="stem")(image), "stem"))
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(x)
    x = norm(layers.Conv2D(8, 1, name="narrow")(layers.Activation("relu", name="wide_relu")(norm(x, "wide"))), "narrow")
    x = layers.Add(name="sum")([stem, x])
    squeezed = layers.Reshape((1, 1, 8), name="as_picture")(layers.GlobalAveragePooling2D(name="squeeze")(x))
    squeezed = layers.Conv2D(4, 1, activation="silu", name="reduce")(squeezed)
    x = layers.Multiply(name="scale")([x, layers.Conv2D(8, 1, activation="sigmoid", name="expand")(squeezed)])
    side = layers.SeparableConv2D(6, 3, padding="same", name="separable")(x)
    x = norm(layers.Concatenate(name="both")([x, side]), "both")
    shared = layers.Conv2D(5, 1, activation="relu", name="shared")
    x = keras.ops.relu(shared(x)) * 0.5 + shared(layers.MaxPooling2D(1, name="copy")(x))
    x = layers.Conv2DTranspose(4, 2, strides=2, name="turned")(layers.MaxPooling2D(name="pool")(x))
    x = layers.Dropout(0.1, name="dropout")(layers.Flatten(name="flatten")(x))
    x = layers.Dense(16, activation="gelu", name="hidden")(x)
    return randomised(keras.Model(image, layers.Dense(3, activation="softmax", name="predictions")(x), name="branched"))
