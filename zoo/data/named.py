"""Public datasets by name: "keras:mnist" or "tfds:horses_or_humans"."""

from __future__ import annotations

from pathlib import Path

from zoo.data.keras_datasets import KERAS_DATASETS, load_keras_dataset
from zoo.data.labelled import LabelledData
from zoo.data.splitting import SplitFractions
from zoo.data.tfds_datasets import load_tfds_dataset
from zoo.errors import UnknownNameError
from zoo.spec import Preprocessing

SCHEMES = ("keras", "tfds")


def load_named(name: str, preprocessing: Preprocessing | None = None, *, validation_fraction: float = 0.15,
               test_fraction: float = 0.15, seed: int = 0, keep_duplicates: bool = False,
               data_dir: str | Path | None = None) -> LabelledData:
    """Fetches a public dataset, or takes it from the cache of Keras or TFDS, and splits it.

    The dataset's own parts are kept; only one that it does not have is cut out of its training part. Keras datasets
    are held in memory as Keras loads them; those of TFDS are read from their files as training goes on.

    Args:
        name: "keras:" and one of `KERAS_DATASETS`, or "tfds:" and a name that TFDS knows, such as "tfds:mnist" or
            "tfds:cifar10/3.0.2" (needs the extra `datasets`).
        preprocessing: What turns the dataset's pictures, texts or columns into the model's input. Needed for
            pictures. None, or one without vocabulary or columns, is learnt from the training part.
        validation_fraction: Fraction in [0, 1) to choose by, where the dataset gives no validation part.
        test_fraction: Fraction in [0, 1) to judge by, where the dataset gives no test part.
        seed: Chooses the examples of the parts.
        keep_duplicates: Uses examples of equal content nevertheless.
        data_dir: Where TFDS keeps its datasets; None takes its own default. Keras has KERAS_HOME.

    Returns:
        Inputs as the model takes them, targets int32 [B] or float32 [B, k].

    Raises:
        ArgumentError: A preprocessing that does not fit the dataset.
        DataError: The dataset cannot be fetched, or has no inputs and targets that we know.
        MissingDependencyError: TFDS is not installed.
        UnknownNameError: No such scheme or dataset.
    """
    fractions = SplitFractions(validation=validation_fraction, test=test_fraction, seed=seed)
    scheme, colon, dataset = name.partition(":")
    if not colon or scheme not in SCHEMES or not dataset:
        known = [f"keras:{dataset}" for dataset in KERAS_DATASETS]
        raise UnknownNameError("dataset", name, known, "Expected 'keras:<name>' or 'tfds:<name>'.")
    if scheme == "keras":
        return load_keras_dataset(dataset, preprocessing, fractions, keep_duplicates=keep_duplicates)
    return load_tfds_dataset(dataset, preprocessing, fractions, keep_duplicates=keep_duplicates, data_dir=data_dir)
