"""Tiny Keras models with records, one per kind of input and task."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.spec import (
    Column,
    ImagePreprocessing,
    ModelRecord,
    Preprocessing,
    TabularPreprocessing,
    TensorPreprocessing,
    TextPreprocessing,
    attach_record,
)

layers = keras.layers
DIGITS = tuple("abcde")
IRIS = TabularPreprocessing(columns=(
    Column(name="sepal length (cm)", mean=5.0, std=2.0),
    Column(name="Farbe/é", kind="categorical", categories=("red", "green")),
    Column(name="age", mean=1.0, std=4.0),
))


def with_record(model: Any, task: str, preprocessing: Preprocessing, kind: str = "tabular", **fields: Any) -> Any:
    """Attaches a record and gives the weights values that any process makes alike."""
    generator = np.random.Generator(np.random.PCG64(7))
    model.set_weights([np.abs(generator.normal(0, 0.5, w.shape)).astype(w.dtype) if "variance" in v.path
                       else generator.normal(0, 0.5, w.shape).astype(w.dtype)
                       for v, w in zip(model.weights, model.get_weights(), strict=True)])
    record = ModelRecord(name=model.name, input_kind=kind, task=task, preprocessing=preprocessing,  # type: ignore[arg-type]
                         registered=False, **fields)
    attach_record(model, record)
    return model


def image_classifier(channels: int = 3) -> Any:
    """12x10 pictures, five classes, with batch normalisation and dropout (whose seed is a variable)."""
    image = keras.Input((12, 10, channels), name="image")
    x = layers.Conv2D(4, 3, name="conv")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Dropout(0.5, name="drop")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(5, activation="softmax", name="predictions")(x)
    mean = (100.0, 110.0, 120.0)[:channels]
    preprocessing = ImagePreprocessing(height=12, width=10, channels=channels, scale=1.0, mean=mean,
                                       std=(50.0, 55.0, 60.0)[:channels])
    return with_record(keras.Model(image, x, name="pictures"), "classification", preprocessing, "image", labels=DIGITS,
                       description="Five letters.", licence="CC0", metrics={"test": {"accuracy": 0.5}},
                       weights={"source": "made up", "sha256": "0" * 64})


def large_classifier() -> Any:
    """96x96 pictures, three classes: enough arithmetic for rows to be computed in parts."""
    image = keras.Input((96, 96, 3), name="image")
    preprocessing = ImagePreprocessing(height=96, width=96, channels=3, scale=1 / 255)
    x = layers.Dense(3, activation="softmax", name="predictions")(_two_convolutions(image))
    return with_record(keras.Model(image, x, name="large"), "classification", preprocessing, "image",
                       labels=DIGITS[:3])


def large_features() -> Any:
    """As much arithmetic, two inputs and two outputs of different sizes."""
    image, factor = keras.Input((96, 96, 3), name="pixels"), keras.Input((1,), name="factor")
    x = _two_convolutions(image)
    few = layers.Dense(2, name="few")(layers.Multiply(name="scaled")([x, factor]))
    return with_record(keras.Model([image, factor], {"few": few, "all": x}, name="large_features"), "features",
                       TensorPreprocessing(), "image")


def _two_convolutions(image: Any) -> Any:
    x = image
    for place in range(2):
        x = layers.Conv2D(32, 3, padding="same", name=f"conv_{place}")(x)
        x = layers.ReLU(name=f"relu_{place}")(layers.BatchNormalization(name=f"norm_{place}")(x))
    return layers.GlobalAveragePooling2D(name="pool")(x)


def text_classifier(threshold: float = 0.3) -> Any:
    """Six words, positive or negative, with a masked bidirectional LSTM."""
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    x = layers.Embedding(8, 4, mask_zero=True, name="embedding")(tokens)
    x = layers.Bidirectional(layers.LSTM(3, name="lstm"), name="both_ways")(x)
    x = layers.Dense(1, activation="sigmoid", name="predictions")(x)
    preprocessing = TextPreprocessing(max_length=6, vocabulary=("good", "bad", "film", "the", "was", "naïve"))
    return with_record(keras.Model(tokens, x, name="texts"), "binary_classification", preprocessing, "text",
                       labels=("negative", "positive"), threshold=threshold)


def table_regressor() -> Any:
    """Two numbers and a category with awkward names, one number out."""
    features = keras.Input((4,), name="features")
    x = layers.Dense(3, activation="relu", name="hidden")(features)
    x = layers.Dense(1, name="predictions")(x)
    return with_record(keras.Model(features, x, name="tables"), "regression", IRIS)


def sequence_pair() -> Any:
    """Two inputs of any length, as a transformer has; one number per step."""
    source, target = keras.Input((None, 4), name="source"), keras.Input((None, 4), name="target")
    x = layers.MultiHeadAttention(2, 4, name="attention")(target, source)
    x = layers.Dense(1, name="predictions")(x)
    return with_record(keras.Model({"target": target, "source": source}, x, name="pairs"), "regression",
                       TensorPreprocessing(), "sequence")


def tensor_classifier(classes: int = 4, **fields: Any) -> Any:
    """Three numbers without preprocessing and without labels."""
    features = keras.Input((3,), name="features")
    x = layers.Dense(classes, activation="softmax", name="predictions")(features)
    return with_record(keras.Model(features, x, name="plain"), "classification", TensorPreprocessing(), **fields)


def feature_extractor() -> Any:
    """Pictures to two feature maps by name."""
    image = keras.Input((8, 8, 1), name="image")
    low = layers.Conv2D(2, 3, name="low")(image)
    high = layers.GlobalAveragePooling2D(name="high")(low)
    return with_record(keras.Model(image, {"low": low, "high": high}, name="features"), "features",
                       ImagePreprocessing(height=8, width=8, channels=1), "image")
