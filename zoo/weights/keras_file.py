"""Parameters from the files that Keras writes: `.weights.h5`, the older `.h5`, and the archive `.keras`.

Only arrays are taken out of them. The configuration and everything else that could carry code is never read.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo.errors import WeightsError
from zoo.weights import hdf5
from zoo.weights.head import STRICT, HeadRule
from zoo.weights.keras_layout import is_own_place, keras_places
from zoo.weights.matching import Tensor, match
from zoo.weights.report import LoadReport
from zoo.weights.safetensors_file import finish_state

_ARCHIVE_MEMBER = "model.weights.h5"
# An archive may hold the optimizer's state (Adam: twice the parameters) beside the parameters, but not any amount.
_MOST_TIMES_THE_MODEL = 16
_SMALL_BYTES = 64 << 20


def load_keras_file(model: keras.Model, path: Path, *, rule: HeadRule = STRICT) -> LoadReport:
    """Loads parameters from a file that Keras wrote; nothing is changed unless everything fits.

    Args:
        model: A built Keras model.
        path: A `.weights.h5`, `.h5`, `.hdf5` or `.keras` file; its content tells which, not its name.
        rule: How far the head may differ.

    Returns:
        What happened to each variable.

    Raises:
        WeightsError: The file is broken, of another kind, or does not fit the model.
    """
    if zipfile.is_zipfile(path):
        with _unpacked(path, model) as weights:
            return _load_hdf5(model, weights, rule, path.name)
    return _load_hdf5(model, path, rule, path.name)


def _load_hdf5(model: keras.Model, path: Path, rule: HeadRule, origin: str) -> LoadReport:
    with hdf5.opened(path) as file:
        if "model_weights" in file and "layer_names" not in file.attrs:
            return _load_by_order(model, hdf5.member(file, "model_weights"), rule, origin)
        if hdf5.texts(file, "layer_names"):
            return _load_by_order(model, file, rule, origin)
        if not any(name in file for name in ("layers", "vars", "_layer_checkpoint_dependencies")):
            raise WeightsError(f"{origin} is an HDF5 file, but not one with Keras weights (it has neither `layers` "
                               f"nor `layer_names`). It has: {', '.join(list(file)[:8]) or 'nothing'}.")
    return load_keras3_weights(model, path, rule=rule, origin=origin)


# === Keras 3: by place ===


def load_keras3_weights(model: Any, path: Path, *, rule: HeadRule = STRICT, origin: str = "") -> LoadReport:
    """Loads a `.weights.h5` file of Keras 3, also into a model that is a layer of another one.

    Args:
        model: A built Keras model.
        path: The file.
        rule: How far the head may differ.
        origin: What to call the file in errors; its name by default.

    Returns:
        What happened to each variable.

    Raises:
        WeightsError: The file is broken or does not fit the model.
    """
    places = keras_places(model)
    with hdf5.opened(path) as file:
        tensors = {place: Tensor(place, tuple(dataset.shape)) for place, dataset in _model_datasets(file)}
    found = match(places, tensors, rule, origin or path.name)
    head = [layer for layer in model._flatten_layers(include_self=False) if layer.weights
            and all(id(variable) in rule.head_ids for variable in layer.weights)]
    _assign_with_keras(model, path, head if found.report.reinitialised else [])
    return found.report


def _model_datasets(file: Any) -> Iterator[tuple[str, Any]]:
    """Yields the datasets that belong to the model itself, not to its optimizer, loss or metrics."""
    for place, dataset in hdf5.datasets(file):
        if place.startswith("_layer_checkpoint_dependencies/"):  # the name in files of Keras 2.13
            place = place.replace("_layer_checkpoint_dependencies", "layers", 1)
        if is_own_place(place):
            yield place, dataset


def _assign_with_keras(model: Any, path: Path, skipped: list[Any]) -> None:
    """Lets Keras assign what has been checked, because layers may have their own way to load."""
    with tempfile.TemporaryDirectory(prefix="zoo-weights-") as folder:
        link = Path(folder) / _ARCHIVE_MEMBER  # Keras goes by the ending of the name
        link.symlink_to(path.absolute())
        try:
            with warnings.catch_warnings():
                # Every place was checked above, so Keras's remarks on containers without parameters say nothing.
                warnings.filterwarnings("ignore", message="Skipping nested container", category=UserWarning)
                model.load_weights(str(link), **({"objects_to_skip": skipped} if skipped else {}))
        except (ValueError, KeyError, OSError) as error:
            raise WeightsError(f"Keras could not load {path.name}: {str(error).splitlines()[0]}") from error


@contextlib.contextmanager
def _unpacked(path: Path, model: keras.Model) -> Iterator[Path]:
    """Unpacks the parameters, and only them, from a `.keras` archive into a temporary file."""
    most = _MOST_TIMES_THE_MODEL * sum(_bytes(variable) for variable in model.variables) + _SMALL_BYTES
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory(prefix="zoo-weights-") as folder:
            if _ARCHIVE_MEMBER not in archive.namelist():
                raise WeightsError(f"{path.name} is an archive without {_ARCHIVE_MEMBER}, so not a .keras file. It "
                                   f"has: {', '.join(archive.namelist()[:8])}.")
            size = archive.getinfo(_ARCHIVE_MEMBER).file_size
            if size > most:
                raise WeightsError(f"The weights in {path.name} have {size} bytes, far more than this model can use "
                                   f"({most} at most). They were not unpacked.")
            target = Path(folder) / _ARCHIVE_MEMBER
            with archive.open(_ARCHIVE_MEMBER) as packed, target.open("wb") as file:
                shutil.copyfileobj(packed, file, 1 << 20)  # zipfile stops at the stated size
            yield target
    except (zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise WeightsError(f"{path.name} cannot be read as a .keras archive: {error}") from error


def _bytes(variable: Any) -> int:
    return int(np.prod(variable.shape, dtype=np.int64)) * 8


# === Keras 2 and keras.applications: by order of the layers ===


def _load_by_order(model: keras.Model, group: Any, rule: HeadRule, origin: str) -> LoadReport:
    """Pairs the layers that have variables in the order in which model and file list them.

    Keras has the same loader, but it begins to assign before it has seen everything, and cannot leave out the head.
    """
    variables = _ordered_variables(model)
    stored = _ordered_datasets(group)
    # Without types, as in Keras: old files count the pixels that Normalization has seen in another integer type.
    tensors = {key: Tensor(dataset.name, tuple(dataset.shape)) for key, dataset in stored.items()}
    found = match(variables, tensors, rule, origin)
    for key in found.keys:
        variables[key].assign(hdf5.values(stored[key]))
    finish_state(model, [variables[key] for key in found.keys])
    return found.report


def _ordered_variables(model: keras.Model) -> Mapping[str, Any]:
    # Trainable ones first, as Keras 2 saved them: BatchNorm has gamma, beta, mean, variance either way.
    layers = [layer for layer in model.layers if layer.weights]
    return {f"{place}/{number}": variable for place, layer in enumerate(layers)
            for number, variable in enumerate([*layer.trainable_weights, *layer.non_trainable_weights])}


def _ordered_datasets(group: Any) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    place = 0
    for layer in hdf5.texts(group, "layer_names"):
        entry = hdf5.member(group, layer)
        names = hdf5.texts(entry, "weight_names")
        for number, name in enumerate(names):
            found[f"{place}/{number}"] = hdf5.member(entry, name)
        place += bool(names)
    return found
