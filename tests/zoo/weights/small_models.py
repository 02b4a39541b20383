"""Small Keras models that the tests of the file formats share, and the older file format written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras.src.legacy.saving import legacy_h5_format


def picture_model(classes: int = 3, *, top: bool = True, width: int = 4, pointwise: bool = False) -> keras.Model:
    """Convolutions, BatchNorm, a nested model and a head of its own or of the form of MobileNet V3."""
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Normalization(name="normalization")(image)
    x = keras.layers.Conv2D(width, 3, name="stem")(x)
    x = keras.layers.BatchNormalization(name="stem_bn")(x)
    x = keras.Sequential([keras.Input((6, 6, width)), keras.layers.Conv2D(4, 3, name="conv")], name="block")(x)
    x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    x = keras.layers.Dropout(0.1, name="drop")(x)
    if top and pointwise:
        x = keras.layers.Conv2D(classes, 1, name="logits")(x)
        x = keras.layers.Activation("softmax", name="predictions")(keras.layers.Flatten(name="flatten")(x))
    elif top:
        x = keras.layers.Dense(classes, activation="softmax", name="predictions")(keras.layers.Flatten(name="flat")(x))
    return keras.Model(image, x, name="picture")


def randomised(model: keras.Model, seed: int = 0) -> keras.Model:
    """Gives every variable other values than an initializer would."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(generator.uniform(0.1, 1.0, variable.shape).astype("float32").astype(variable.dtype))
    return model


def values(model: keras.Model) -> dict[str, np.ndarray[Any, Any]]:
    """Returns the parameters by path; names of the test models are unique."""
    return {variable.path: variable.value.numpy() for variable in model.weights}


def differing(one: keras.Model, other: keras.Model) -> set[str]:
    """Returns the paths of parameters that are not equal in both models, or only in one."""
    ours, theirs = values(one), values(other)
    return {path for path in ours.keys() | theirs.keys()
            if path not in ours or path not in theirs or not np.array_equal(ours[path], theirs[path])}


def write_legacy(model: keras.Model, path: Path, group: str = "") -> Path:
    """Writes the format of Keras 2, in which keras.applications publishes its weights."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file.create_group(group) if group else file, model)
    return path
