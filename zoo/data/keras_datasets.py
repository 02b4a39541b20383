"""The datasets that come with Keras, brought to pictures, texts or columns that our transforms take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import keras
import numpy as np

from zoo.data.arrays import from_arrays
from zoo.data.labelled import LabelledData
from zoo.data.splitting import SplitFractions
from zoo.errors import ArgumentError, DataError, UnknownNameError
from zoo.spec import (
    TEXT_PREPROCESSING,
    ImagePreprocessing,
    Preprocessing,
    TabularPreprocessing,
    TensorPreprocessing,
    TextPreprocessing,
)

_MAX_LENGTH = 256


@dataclass(frozen=True)
class KerasDataset:
    """One dataset: how it is fetched, what its inputs are, and the names of classes or columns."""

    kind: Literal["image", "text", "tabular"]
    fetch: Callable[[], Any]
    labels: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    word_index: Callable[[], dict[str, int]] | None = None


def _digits() -> tuple[str, ...]:
    return tuple(str(digit) for digit in range(10))


KERAS_DATASETS: Mapping[str, KerasDataset] = MappingProxyType({
    "mnist": KerasDataset("image", keras.datasets.mnist.load_data, _digits()),
    "fashion_mnist": KerasDataset("image", keras.datasets.fashion_mnist.load_data,
                                  ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
                                   "Bag", "Ankle boot")),
    "cifar10": KerasDataset("image", keras.datasets.cifar10.load_data,
                            ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")),
    "cifar100": KerasDataset("image", keras.datasets.cifar100.load_data),
    # Without a start mark and offset, the numbers are those of the word index.
    "imdb": KerasDataset("text", lambda: keras.datasets.imdb.load_data(start_char=None, oov_char=None, index_from=0),
                         ("negative", "positive"), word_index=keras.datasets.imdb.get_word_index),
    "reuters": KerasDataset("text",
                            lambda: keras.datasets.reuters.load_data(start_char=None, oov_char=None, index_from=0),
                            tuple(keras.datasets.reuters.get_label_names()),
                            word_index=keras.datasets.reuters.get_word_index),
    "california_housing": KerasDataset("tabular", keras.datasets.california_housing.load_data,
                                       columns=("MedInc", "HouseAge", "AveRooms", "AveBedrms", "Population",
                                                "AveOccup", "Latitude", "Longitude")),
    "boston_housing": KerasDataset("tabular", keras.datasets.boston_housing.load_data,
                                   columns=("CRIM", "ZN", "INDUS", "CHAS", "NOX", "RM", "AGE", "DIS", "RAD", "TAX",
                                            "PTRATIO", "B", "LSTAT")),
})


def load_keras_dataset(name: str, preprocessing: Preprocessing | None, fractions: SplitFractions, *,
                       keep_duplicates: bool) -> LabelledData:
    """Loads one of `KERAS_DATASETS`; see `zoo.data.load_named`.

    Args:
        name: The name without "keras:".
        preprocessing: What to do with pictures, texts or columns.
        fractions: Sizes of the parts that the dataset does not give, and the seed.
        keep_duplicates: Uses examples of equal content nevertheless.

    Raises:
        ArgumentError: A preprocessing of another kind than the dataset.
        DataError: The dataset cannot be fetched.
        UnknownNameError: No such dataset.
    """
    if name not in KERAS_DATASETS:
        raise UnknownNameError("Keras dataset", name, KERAS_DATASETS, f"Known: {', '.join(KERAS_DATASETS)}.")
    dataset = KERAS_DATASETS[name]
    preprocessing = fitting_preprocessing(f"keras:{name}", dataset.kind, preprocessing)
    (inputs, targets), (test_inputs, test_targets) = _fetched(name, dataset.fetch)
    words = _fetched(name, dataset.word_index) if dataset.word_index else None
    return from_arrays(
        as_inputs(dataset, inputs, words), _as_targets(dataset, targets), labels=dataset.labels,
        test=(as_inputs(dataset, test_inputs, words), _as_targets(dataset, test_targets)), preprocessing=preprocessing,
        validation_fraction=fractions.validation, test_fraction=fractions.test, seed=fractions.seed,
        keep_duplicates=keep_duplicates, name=f"keras:{name}")


def fitting_preprocessing(name: str, kind: str, preprocessing: Preprocessing | None) -> Preprocessing:
    """Returns the preprocessing for a dataset of "image", "text" or "tabular" inputs: the given one, or one to learn.

    Args:
        name: The dataset, for the message.
        kind: What its inputs are.
        preprocessing: What the user gave; that of a model that takes tensors as they are says nothing of a table.

    Raises:
        ArgumentError: None for pictures, or one of another kind.
    """
    if preprocessing is None and kind == "text":
        return TextPreprocessing(max_length=_MAX_LENGTH)
    if kind == "tabular" and (preprocessing is None or isinstance(preprocessing, TensorPreprocessing)):
        return TabularPreprocessing(columns=())
    expected: dict[str, tuple[type, ...]] = {"image": (ImagePreprocessing,), "text": TEXT_PREPROCESSING,
                                             "tabular": (TabularPreprocessing,)}
    if preprocessing is None or not isinstance(preprocessing, expected[kind]):
        raise ArgumentError(f"{name} has {kind} inputs and needs a preprocessing of the type "
                            f"{expected[kind][0].__name__}. Received: {type(preprocessing).__name__}")
    return preprocessing


def as_inputs(dataset: KerasDataset, inputs: Any, word_index: Mapping[str, int] | None) -> Any:
    """Returns what Keras loaded as `from_arrays` takes it: pixels, texts or a dict of columns.

    Args:
        dataset: Which dataset.
        inputs: uint8 [N, h, w] or [N, h, w, 3], N sequences of word numbers, or floats [N, width].
        word_index: The number of each word, for texts.
    """
    if dataset.kind == "text" and word_index is not None:
        return _texts(inputs, word_index)
    if dataset.kind == "tabular":
        return {column: np.asarray(inputs)[:, i].astype(np.float32) for i, column in enumerate(dataset.columns)}
    return inputs


def _texts(sequences: Sequence[Sequence[int]], word_index: Mapping[str, int]) -> list[str]:
    word_of = {number: word for word, number in word_index.items()}
    return [" ".join(word_of[number] for number in sequence if number in word_of) for sequence in sequences]


def _as_targets(dataset: KerasDataset, targets: Any) -> np.ndarray:
    if dataset.kind == "tabular":
        return np.asarray(targets, np.float32)
    return np.asarray(targets).reshape(-1).astype(np.int32)


def _fetched(name: str, fetch: Callable[[], Any]) -> Any:
    try:
        return fetch()
    except Exception as error:  # Keras raises a bare Exception for a failed download
        reason = (str(error) or type(error).__name__).strip().splitlines()[0][:300]
        raise DataError(f"The dataset keras:{name} could not be fetched: {reason}. Check the network, or put its file "
                        "into the folder datasets/ below KERAS_HOME (by default ~/.keras).") from error
