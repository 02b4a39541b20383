"""The models that engines are compared on: weights by seed, statistics as training leaves them, inputs of all kinds.

Nothing in here is flat: zero biases and the normalisations of a new model let engines skip work that a trained model
has. The statistics of the batch normalisations are those of made pictures, so that activations stay in a sane range.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from PIL import Image

import zoo
from zoo.preprocessing.transform import transform_for
from zoo.spec import WordPiecePreprocessing, record_of

TOKENS, PIXELS = 128, 224
CALIBRATION_ROWS = 64


@dataclass(frozen=True)
class Subject:
    """A model of the comparison: its name in the catalog, and whether it reads texts."""

    name: str
    text: bool = False


SUBJECTS: Mapping[str, Subject] = {
    "resnet50": Subject("resnet50"),
    "mobilenet_v2": Subject("mobilenet_v2"),
    "efficientnet_b0": Subject("efficientnet_b0"),
    "bert_base": Subject("bert_base_uncased", text=True),
    "small_bert": Subject("small_bert_L4_H512", text=True),
}


def build(subject: Subject) -> Any:
    """Builds a model with weights as if it were trained: the same ones each time."""
    if not subject.text:
        model = zoo.build(subject.name, seed=1)
    else:
        words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{index}" for index in range(30517)))
        reading = WordPiecePreprocessing(max_length=TOKENS, vocabulary=words)
        model = zoo.build(subject.name, seed=1, num_classes=8, preprocessing=reading)
    _randomise(model)
    return model


def _randomise(model: Any) -> None:
    generator = np.random.default_rng(7)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for variable in model.variables:
        part = variable.path.rsplit("/", 1)[1]
        if part == "beta" and norms:
            # A random network doubles what rounding does to it every ten layers, which trained ones do not. Activations
            # that are mostly on keep it calm.
            variable.assign(generator.normal(1.0, 0.3, variable.shape))
        elif part in ("bias", "beta"):
            variable.assign(generator.normal(0, 0.1, variable.shape))
        elif part == "gamma":
            variable.assign(generator.uniform(0.6, 1.0, variable.shape))
    if norms:
        _learn_statistics(model, norms)
    _make_plain_answers(model)


def _learn_statistics(model: Any, norms: Sequence[Any]) -> None:
    """Takes the statistics of some pictures, with nothing dropped meanwhile."""
    momenta = [layer.momentum for layer in norms]
    dropouts = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    rates = [layer.rate for layer in dropouts]
    for layer in norms:
        layer.momentum = 0.0
    for layer in dropouts:
        layer.rate = 0.0
    model(inputs_of(model, pictures(16, seed=3))[0], training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    for layer, rate in zip(dropouts, rates, strict=True):
        layer.rate = rate


def _make_plain_answers(model: Any) -> None:
    """Scales the head so that what goes into the softmax differs by about 1 from class to class."""
    head = model.get_layer("predictions")
    text = len(model.inputs) > 1
    rows = inputs_of(model, texts(2, seed=3) if text else pictures(2, seed=3))
    features = keras.Model(model.inputs, head.input)(rows if text else rows[0], training=False)
    head.kernel.assign(head.kernel * (1 / np.std(np.asarray(features) @ head.kernel.numpy())))


def pictures(count: int, seed: int) -> list[bytes]:
    """Made pictures as PNG: large spots and small ones, in the range of a photograph's colours."""
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        pixels = np.zeros((PIXELS, PIXELS, 3))
        for cells, strength in ((4, 70), (28, 35), (PIXELS, 12)):
            spots = generator.normal(0, strength, (cells, cells, 3))
            pixels += np.kron(spots, np.ones((PIXELS // cells, PIXELS // cells, 1)))
        shown = io.BytesIO()
        Image.fromarray(np.clip(pixels + generator.uniform(80, 170, 3), 0, 255).astype(np.uint8)).save(shown, "PNG")
        made.append(shown.getvalue())
    return made


def texts(count: int, seed: int) -> list[str]:
    """Made texts that fill the model's longest input to the last token."""
    generator = np.random.default_rng(seed)
    return [" ".join(f"word{index}" for index in row) for row in generator.integers(0, 30517, (count, TOKENS - 2))]


def inputs_of(model: Any, raw: Sequence[Any]) -> list[np.ndarray]:
    """What the model takes for pictures or texts, in the order of its inputs."""
    transform = transform_for(record_of(model).preprocessing)
    if isinstance(raw[0], bytes):
        return [transform.batch_from_bytes(list(raw)).numpy()]
    made = transform.batch(list(raw))
    return [made[tensor.name].numpy() for tensor in model.inputs]


def drawn(subject: Subject, count: int, seed: int) -> list[Any]:
    """Raw examples for a model."""
    return texts(count, seed) if subject.text else pictures(count, seed)
