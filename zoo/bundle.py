"""Saves and loads a trained model with everything that belongs to it: preprocessing, labels, metrics, provenance.

A bundle is a folder:

    bundle.json                  format, the model's record, names and sha256 of the other files
    weights-<sha256>.safetensors parameters, by the path of each Keras variable
    architecture-<sha256>.json   the Keras configuration, only for models that the registry cannot build again

`bundle.json` is written last and replaced in one step, and the files it names carry their content's hash in their
names. So a bundle is at every moment the old one or the new one, and other files in its folder are left alone.
Nothing in it is executed when it is opened: no pickle, no Lambda layers.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras

from zoo.building import installed_versions
from zoo.bundle_architecture import architecture_of, rebuilt, without_shapes
from zoo.bundle_index import INDEX_NAME, require_bundle
from zoo.errors import ArgumentError, BundleError, WeightsError
from zoo.layers.lora import merged_lora
from zoo.layers.quantization import refuse_quantized
from zoo.registry import default_registry
from zoo.spec import InputKind, ModelRecord, Preprocessing, Task, attach_record, record_of
from zoo.weights.safetensors_file import load_safetensors, save_safetensors

FORMAT = 1
# What bundles mean that were written before a model had the choice.
_BEFORE_THE_CHOICE: Mapping[str, Mapping[str, Any]] = MappingProxyType({"rnn_text": {"vocabulary": "words"}})
_HASH_CHARACTERS = 16  # of the sha256 in a file's name; the whole one is in bundle.json


def adopt(model: keras.Model, *, name: str, input_kind: InputKind, task: Task, preprocessing: Preprocessing,
          labels: Iterable[str] = (), threshold: float = 0.5, description: str = "", licence: str = "") -> keras.Model:
    """Gives a Keras model from elsewhere a record, so that it can be trained, saved and exported.

    Args:
        model: A built functional or Sequential model; it is changed in place only by the record attached to it.
        name: What to call it.
        input_kind: "image", "text", "tabular" or "sequence".
        task: "classification", "binary_classification", "regression" or "features".
        preprocessing: What turns raw inputs into the model's input.
        labels: Class names in the order of the last axis.
        threshold: Probability in [0, 1] from which a binary classifier says `labels[1]`.
        description: One sentence for the model card.
        licence: SPDX name of the licence.

    Returns:
        The same model.

    Raises:
        ArgumentError: The model is not built or tells no shapes, or the labels do not fit its output.
    """
    if not isinstance(model, keras.Model) or not model.built or not hasattr(model, "output_shape"):
        raise ArgumentError("`adopt` takes a built functional or Sequential keras.Model. "
                            f"Received: {model!r}. Build it with the functional API, or call your own class on a "
                            "keras.Input and make a keras.Model of both.")
    names = tuple(labels)
    classes = {"classification": None, "binary_classification": 2}.get(task, 0)
    expected = model.output_shape[-1] if classes is None else classes
    if names and len(names) != expected:
        raise ArgumentError(f"The model has {expected} classes for the task {task!r} and {len(names)} labels were "
                            "given. Give one label per class.")
    attach_record(model, ModelRecord(name=name, input_kind=input_kind, task=task, preprocessing=preprocessing,
                                     registered=False, labels=names, threshold=threshold, description=description,
                                     licence=licence, weights={"source": "adopted"}, versions=installed_versions()))
    return model


def save(model: keras.Model, directory: str | os.PathLike[str]) -> Path:
    """Saves a model with its record. Low-rank adapters are folded into the kernels that are written.

    Args:
        model: A model from `zoo.build`, `zoo.load` or `zoo.adopt`.
        directory: The bundle's folder; made if missing. A bundle in it is replaced in one step.

    Returns:
        The folder.

    Raises:
        ArgumentError: The model carries no record, or was quantized.
        BundleError: The folder cannot be written, or the path is a file.
    """
    record = record_of(model)
    refuse_quantized(model, "zoo.save writes", "Save it before model.quantize(...), and quantize it again after "
                     "zoo.load; serving.export.export_model takes it as it is.")
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with merged_lora(model):
            files = _write_files(model, record, folder)
        index = {"format": FORMAT, "record": record.to_dict(), "files": files}
        _replace(folder / INDEX_NAME, json.dumps(index, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise BundleError(f"The model could not be saved in {folder}: {error.strerror or error}. "
                          "A bundle that was there before is unchanged.") from error
    _remove_stale(folder, {entry["name"] for entry in files.values()})
    return folder


def load(directory: str | os.PathLike[str]) -> keras.Model:
    """Loads a model that `save` wrote, with its record.

    Args:
        directory: The bundle's folder.

    Returns:
        The uncompiled model, its parameters and its record as they were saved.

    Raises:
        BundleError: No bundle there, a file is missing or changed, or it needs a newer zoo.
        UnknownNameError: The model's package is not installed.
    """
    folder = Path(directory)
    index = _read_index(folder)
    try:
        record = ModelRecord.from_dict(index["record"])
        files = {role: (folder / _plain_name(entry["name"]), entry["sha256"])
                 for role, entry in index["files"].items()}
        weights = files["weights"][0]
    except (ArgumentError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{folder / INDEX_NAME} is not a bundle that this version reads: {error}") from error
    for path, expected in files.values():
        _check_content(path, expected)
    model = _registered(record, weights) if record.registered else _from_architecture(record, files, weights)
    attach_record(model, record)
    return model


def _registered(record: ModelRecord, weights: Path) -> keras.Model:
    arguments = {name: tuple(value) if isinstance(value, list) else value
                 for name, value in {**_BEFORE_THE_CHOICE.get(record.name, {}), **record.arguments}.items()}
    model = default_registry().build(record.name, **arguments)
    load_safetensors(model, weights)
    return model


def _from_architecture(record: ModelRecord, files: dict[str, tuple[Path, str]], weights: Path) -> keras.Model:
    if "architecture" not in files:
        raise BundleError(f"The bundle of {record.name!r} has no architecture file, and the model is not registered.")
    config = json.loads(files["architecture"][0].read_text())
    # Keras names a variable after the layers inside which it was made. A layer within a layer is made inside it when
    # a model is first built, and on its own when Keras reads it with the shapes it was built for: the saved model may
    # have been made either way.
    model = rebuilt(without_shapes(config), record.name)
    try:
        load_safetensors(model, weights)
    except WeightsError:
        model = rebuilt(config, record.name)
        load_safetensors(model, weights)
    return model


def _write_files(model: keras.Model, record: ModelRecord, folder: Path) -> dict[str, dict[str, str]]:
    files = {"weights": _write_hashed(folder, "weights", ".safetensors", lambda p: save_safetensors(model, p))}
    if not record.registered:
        config = json.dumps(architecture_of(model), sort_keys=True)
        files["architecture"] = _write_hashed(folder, "architecture", ".json", lambda p: p.write_text(config))
    return files


def _write_hashed(folder: Path, stem: str, suffix: str, write: Callable[[Path], Any]) -> dict[str, str]:
    handle, temporary = tempfile.mkstemp(prefix=f".{stem}-", suffix=".tmp", dir=folder)
    os.close(handle)
    path = Path(temporary)
    try:
        write(path)
        _sync(path)
        digest = _sha256(path)
        name = f"{stem}-{digest[:_HASH_CHARACTERS]}{suffix}"
        path.chmod(0o644)
        path.replace(folder / name)
    finally:
        path.unlink(missing_ok=True)
    return {"name": name, "sha256": digest}


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text)
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_stale(folder: Path, kept: set[str]) -> None:
    for pattern in ("weights-*.safetensors", "architecture-*.json"):
        for path in folder.glob(pattern):
            if path.name not in kept:
                path.unlink(missing_ok=True)


def _read_index(folder: Path) -> dict[str, Any]:
    require_bundle(folder)
    path = folder / INDEX_NAME
    try:
        index = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    if not isinstance(index, dict) or not isinstance(index.get("format"), int):
        raise BundleError(f"{path} is not the index of a saved model.")
    if index["format"] > FORMAT:
        raise BundleError(f"{path} has format {index['format']}, and this version reads up to {FORMAT}. "
                          "Update servable-zoo.")
    return index


def _plain_name(name: str) -> str:
    if Path(name).name != name or name in ("", ".", ".."):
        raise ArgumentError(f"it names the file {name!r} outside its own folder")
    return name


def _check_content(path: Path, expected: str) -> None:
    if not path.is_file():
        raise BundleError(f"{path} is missing. Copy the whole folder again.")
    found = _sha256(path)
    if found != expected:
        raise BundleError(f"{path} is damaged: its sha256 is {found}, expected {expected}. Copy the folder again.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
