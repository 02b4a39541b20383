"""Records of the models that hypermodels build: the zoo's own can be served with theirs, others measured with one."""

from __future__ import annotations

from pathlib import Path

import keras

from zoo.bundle import adopt, save
from zoo.errors import ArgumentError
from zoo.spec import TensorPreprocessing, record_of


def recorded(model: keras.Model) -> keras.Model:
    """Gives a model a record to be measured with, if it has none: tensors in, tensors out.

    Args:
        model: A built model.

    Returns:
        The same model.

    Raises:
        ArgumentError: It is not built.
    """
    try:
        record_of(model)
    except ArgumentError:
        adopt(model, name="hypermodel", input_kind="tabular", task="features", preprocessing=TensorPreprocessing())
    return model


def save_recorded(model: keras.Model, folder: Path) -> None:
    """Saves a model that the zoo built inside of a hypermodel, so that it can be exported; leaves others alone.

    Args:
        model: The model with its best parameters.
        folder: The execution's folder.
    """
    try:
        record = record_of(model)
    except ArgumentError:
        return
    if record.registered:
        save(model, folder)
