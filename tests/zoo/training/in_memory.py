"""Small datasets and models for the training tests: numpy arrays behind the protocol that training takes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.spec import ImagePreprocessing, ModelRecord, TensorPreprocessing, attach_record


@dataclass(frozen=True)
class ArraySplit:
    """Examples held in memory; `change` is mapped over the examples, to make a stream that breaks."""

    inputs: np.ndarray
    targets: np.ndarray
    change: Callable[[Any, Any], tuple[Any, Any]] | None = None

    @property
    def count(self) -> int:
        return len(self.targets)

    def batches(self, batch_size: int, *, shuffle_seed: int | None = None, augment: Any = None,
                drop_remainder: bool = False) -> Any:
        order = np.arange(self.count)
        if shuffle_seed is not None:
            order = np.random.RandomState(shuffle_seed).permutation(self.count)
        dataset = tf.data.Dataset.from_tensor_slices((self.inputs[order], self.targets[order]))
        if self.change is not None:
            dataset = dataset.map(self.change)
        dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)
        if augment is not None:
            dataset = dataset.enumerate().map(
                lambda number, batch: augment(*batch, tf.stack([shuffle_seed or 0, tf.cast(number, tf.int32)])))
        return dataset


@dataclass(frozen=True)
class ArrayData:
    """Splits with labels."""

    train: ArraySplit | None
    validation: ArraySplit | None = None
    labels: tuple[str, ...] = ("no", "yes")
    target_kind: Any = "index"
    class_weights: Mapping[int, float] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        parts = [split for split in (self.train, self.validation) if split is not None]
        return hashlib.sha256(b"".join(p.inputs.tobytes() + p.targets.tobytes() for p in parts)).hexdigest()


def blobs(count: int = 96, classes: int = 3, *, validation: int = 32, seed: int = 0, spread: float = 0.6) -> ArrayData:
    """Points [4] around one centre per class: float32 inputs, int32 targets."""
    random = np.random.RandomState(seed)
    centres = random.normal(size=(classes, 4)) * 2.0
    targets = random.randint(0, classes, count + validation).astype("int32")
    inputs = (centres[targets] + spread * random.normal(size=(count + validation, 4))).astype("float32")
    return ArrayData(ArraySplit(inputs[:count], targets[:count]),
                     ArraySplit(inputs[count:], targets[count:]) if validation else None,
                     tuple(f"class {i}" for i in range(classes)))


def line(count: int = 64) -> ArrayData:
    """y = 2 x0 - 3 x1 + 1 with a little noise."""
    random = np.random.RandomState(1)
    inputs = random.normal(size=(count, 2)).astype("float32")
    targets = (inputs @ [[2.0], [-3.0]] + 1.0 + 0.01 * random.normal(size=(count, 1))).astype("float32")
    return ArrayData(ArraySplit(inputs[:-16], targets[:-16]), ArraySplit(inputs[-16:], targets[-16:]), (), "float")


def pictures(count: int = 48, *, size: int = 8, channels: int = 1, seed: int = 0) -> ArrayData:
    """Light pictures and dark ones, normalised to about [-1, 1]."""
    random = np.random.RandomState(seed)
    targets = random.randint(0, 2, count).astype("int32")
    level = np.where(targets, 0.4, -0.4)[:, None, None, None]
    inputs = (level + 0.3 * random.uniform(-1, 1, size=(count, size, size, channels))).astype("float32")
    return ArrayData(ArraySplit(inputs[:-16], targets[:-16]), ArraySplit(inputs[-16:], targets[-16:]))


# === Models ===


def recorded(model: keras.Model, task: Any, **changes: Any) -> keras.Model:
    values = {"name": model.name, "input_kind": "tabular", "task": task, "preprocessing": TensorPreprocessing()}
    attach_record(model, ModelRecord(**{**values, **changes}))
    return model


def classifier(classes: int = 3, *, dropout: float = 0.25, seed: int = 3, activation: str = "softmax") -> keras.Model:
    """Dense, batch normalisation, dropout and the head."""
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((4,), name="features")
    x = keras.layers.Dense(16, activation="relu", name="hidden")(x)
    x = keras.layers.BatchNormalization(name="normalization")(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    outputs = keras.layers.Dense(classes, activation=activation, name="predictions")(x)
    return recorded(keras.Model(inputs, outputs, name="classifier"), "classification")


def binary_classifier(seed: int = 3) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,), name="features")
    outputs = keras.layers.Dense(1, activation="sigmoid", name="predictions")(inputs)
    return recorded(keras.Model(inputs, outputs, name="binary"), "binary_classification")


def regressor(seed: int = 3) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((2,), name="features")
    outputs = keras.layers.Dense(1, name="predictions")(inputs)
    return recorded(keras.Model(inputs, outputs, name="line"), "regression")


def picture_classifier(*, size: int = 8, channels: int = 1, seed: int = 3) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((size, size, channels), name="image")
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = keras.layers.Dense(2, activation="softmax", name="predictions")(x)
    preprocessing = ImagePreprocessing(height=size, width=size, channels=channels, scale=1 / 127.5,
                                       mean=(1.0,) * channels, std=(1.0,) * channels)
    return recorded(keras.Model(inputs, outputs, name="pictures"), "classification", input_kind="image",
                    preprocessing=preprocessing)
