"""A model's variables and its optimizer's by their order, in a safetensors file that is written in a millisecond."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tuning.errors import StoreError


def save_variables(model: keras.Model, path: Path) -> None:
    """Writes a file so that it is at every moment the old or the new one.

    Args:
        model: A built model; its optimizer goes along where it has one.
        path: The file.

    Raises:
        OSError: It cannot be written.
        SafetensorError: It cannot be written, or a variable is of a kind that the format lacks.
    """
    partial = path.with_name(f".{path.name}.partial")
    tensors = {f"{group}/{index:05d}": np.ascontiguousarray(variable.value.numpy()).reshape(tuple(variable.shape))
               for group, variables in _groups(model).items() for index, variable in enumerate(variables)}
    try:
        save_file(tensors, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)  # where the disk is full, half a file would only take room


def load_variables(model: keras.Model, path: Path) -> None:
    """Gives a built model and its optimizer what a file holds.

    An optimizer of another kind, as a hypermodel has it that compiles anew in its `fit`, keeps its own start.

    Args:
        model: The model.
        path: What `save_variables` wrote.

    Raises:
        StoreError: The file is damaged, or another model's.
    """
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    try:
        with safe_open(path, framework="np") as file:
            names = sorted(file.keys())
            for group, variables in _groups(model).items():
                values = [file.get_tensor(name) for name in names if name.startswith(f"{group}/")]
                if [value.shape for value in values] == [tuple(variable.shape) for variable in variables]:
                    for variable, value in zip(variables, values, strict=True):
                        variable.assign(value)
                elif group == "model":
                    raise StoreError(f"{path} holds the parameters of another model.")
    except (OSError, SafetensorError, ValueError) as error:
        raise StoreError(f"{path} is damaged: {error}") from error


def _groups(model: keras.Model) -> dict[str, list[Any]]:
    return {"model": list(model.variables),
            "optimizer": list(model.optimizer.variables) if model.optimizer is not None else []}
