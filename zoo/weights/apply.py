"""From `weights=` to a model with those parameters: resolve, fetch, check, assign, and say what was done."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from zoo.errors import ChecksumError, WeightsError
from zoo.spec import FileRef, ModelSpec, WeightsRef
from zoo.weights.cache import digests
from zoo.weights.checkpoint import Checkpoint, load_checkpoint, open_checkpoint, provenance
from zoo.weights.checkpoint_folder import fetch_folder
from zoo.weights.download import CachedFile, fetch, fetch_optional
from zoo.weights.head import head_layer, head_rule
from zoo.weights.keras_file import load_keras_file
from zoo.weights.keras_hub_preset import BACKBONE, CONFIG, TASK, load_preset, preset_in
from zoo.weights.labels import load_labels
from zoo.weights.refs import (
    FolderSource,
    LocalSource,
    PresetSource,
    RemoteSource,
    TagSource,
    WeightsSource,
    parse_weights,
    preset_source,
)
from zoo.weights.report import LoadReport
from zoo.weights.safetensors_file import load_safetensors
from zoo.weights.settings import DownloadSettings
from zoo.weights.transfer import Progress

_BUNDLE_INDEX = "bundle.json"  # written by zoo.bundle; its `files.weights` names the parameters
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGIC = b"PK\x03\x04"

_CHECKPOINT_FAMILIES = ("bert", "gpt2")
_TENSORS, _CONFIG = "model.safetensors", "config.json"

Fetch = Callable[[FileRef], CachedFile]


@dataclass(frozen=True)
class FoundCheckpoint:
    """A checkpoint that `weights=` names, where it comes from, and the entry of the spec where a tag named it."""

    checkpoint: Checkpoint
    address: str
    ref: WeightsRef | None = None


def published_weights(spec: ModelSpec, weights: str | os.PathLike[str] | None) -> WeightsRef | None:
    """Returns the published weights that `weights=` names, or None where it names random or foreign parameters.

    Args:
        spec: The model.
        weights: As for `zoo.build`.

    Returns:
        The entry of the spec.

    Raises:
        UnknownNameError: No such tag or scheme.
        WeightsError: A path that does not exist, or a malformed address.
    """
    source = parse_weights(weights, spec)
    return source.ref if isinstance(source, TagSource) else None


def find_checkpoint(spec: ModelSpec, weights: str | os.PathLike[str] | None,
                    settings: DownloadSettings | None = None, *, progress: Progress | None = None
                    ) -> FoundCheckpoint | None:
    """Opens the checkpoint that `weights=` names for a BERT or GPT-2, fetching it first where needed.

    Args:
        spec: The model.
        weights: As for `zoo.build`.
        settings: Cache, mirror and tokens; None reads the environment.
        progress: Called with bytes so far and bytes in all (None = unknown).

    Returns:
        The checkpoint; None for a model of another family, for random parameters, and for files that hold nothing but
        parameters of the model as the zoo saves it.

    Raises:
        UnknownNameError: No such tag or scheme.
        DownloadError: A file could not be fetched.
        WeightsError: No checkpoint, a damaged one, or one of another architecture.
    """
    if weights is None or spec.family not in _CHECKPOINT_FAMILIES:
        return None
    source = parse_weights(weights, spec)
    ref = source.ref if isinstance(source, TagSource) else None
    if ref is not None:
        if ref.format != "checkpoint":
            return None
        source = parse_weights(ref.address)
    if isinstance(source, LocalSource):
        folder = source.path.parent if _is_part_of_checkpoint(source.path) else source.path
        if not folder.is_dir() or (folder / _BUNDLE_INDEX).is_file():
            return None
        address = f"file:{folder.name}"
    elif isinstance(source, PresetSource | FolderSource):
        folder, address = fetch_folder(source, settings, progress), source.address
    else:
        return None
    checkpoint = open_checkpoint(folder)
    if checkpoint.family != spec.family:
        raise WeightsError(f"{address} is a {_called(checkpoint.family)}, and {spec.name} is a {_called(spec.family)}. "
                           f"Build it as {checkpoint.family!r}.")
    return FoundCheckpoint(checkpoint, address, ref)


def _is_part_of_checkpoint(path: Path) -> bool:
    """Tells whether a file is meant for its whole folder: Hugging Face's parameters beside their configuration."""
    return path.name == _TENSORS and path.is_file() and (path.parent / _CONFIG).is_file()


def _called(family: str) -> str:
    return {"bert": "BERT", "gpt2": "GPT-2"}[family]


def apply_checkpoint(model: keras.Model, found: FoundCheckpoint) -> tuple[LoadReport, dict[str, Any]]:
    """Loads an opened checkpoint into a model; nothing is changed unless everything fits.

    Args:
        model: A model that was built with the checkpoint's arguments.
        found: What `find_checkpoint` returned.

    Returns:
        What happened to each variable, and the provenance: source, format, sha256 of each file, the report, and for
        published weights tag and licence.

    Raises:
        WeightsError: The parameters do not fit the model; or it does not compute what its source computes.
    """
    report = load_checkpoint(model, found.checkpoint)
    described = {"tag": found.ref.tag, "licence": found.ref.licence, "publisher": found.ref.source} if found.ref else {}
    return report, {"source": found.address} | provenance(found.checkpoint, report) | described


def read_labels(ref: WeightsRef, settings: DownloadSettings | None = None) -> tuple[str, ...]:
    """Returns the class names that belong to published weights; see `zoo.weights.labels.load_labels`.

    Args:
        ref: The weights.
        settings: Cache, mirror and tokens; None reads the environment.

    Returns:
        One name per class, or nothing where the publisher gives none.
    """
    return load_labels(ref, settings)


def apply_weights(model: keras.Model, weights: str | os.PathLike[str] | WeightsSource, spec: ModelSpec | None = None,
                  *, settings: DownloadSettings | None = None,
                  progress: Progress | None = None) -> tuple[LoadReport, dict[str, Any]]:
    """Loads the parameters that `weights` names into a model; nothing is changed unless everything fits.

    Args:
        model: A built zoo model. With a layer "predictions" it has a head, and without one it ends in features.
        weights: A tag, a path, an address (see `zoo.weights.refs`) or what `parse_weights` made of it.
        spec: The model's description, for the tags.
        settings: Cache, mirror and tokens; None reads the environment.
        progress: Called with bytes so far and bytes in all (None = unknown).

    Returns:
        What happened to each variable, and the provenance: source, file, sha256, and for published weights tag and
        licence. A head with another number of classes keeps its random start and is listed as reinitialised.

    Raises:
        UnknownNameError: No such tag or scheme.
        DownloadError: A file could not be fetched; the message says which file to put where.
        ChecksumError: A file is not the promised one.
        WeightsError: The parameters do not fit the model; the message lists what differs.
    """
    settings = settings or DownloadSettings.from_environment()
    if spec is not None and isinstance(weights, str | os.PathLike):
        found = find_checkpoint(spec, weights, settings, progress=progress)
        if found is not None:
            return apply_checkpoint(model, found)
    source = parse_weights(weights, spec) if isinstance(weights, str | os.PathLike) else weights
    if isinstance(source, TagSource):
        return _apply_published(model, source.ref, settings, progress)
    if isinstance(source, RemoteSource):
        cached = fetch(source.file, settings, progress=progress)
        return _load_file(model, cached.entry.path), _provenance(source.address, cached)
    if isinstance(source, PresetSource):
        return _apply_preset(model, source, settings, progress)
    if isinstance(source, LocalSource):
        return _apply_local(model, source)
    if isinstance(source, FolderSource):
        raise WeightsError(f"{source.address} is a folder of files, and {model.name} takes a single file or a "
                           "keras-hub preset. BERT and GPT-2 models and 'hub' are built from such folders.")
    raise WeightsError(f"`weights` names no parameters. Received: {weights!r}")


# === One function per kind of source ===


def _apply_published(model: keras.Model, ref: WeightsRef, settings: DownloadSettings,
                     progress: Progress | None) -> tuple[LoadReport, dict[str, Any]]:
    described = {"tag": ref.tag, "licence": ref.licence, "publisher": ref.source}
    if ref.format == "keras_hub_preset":
        source = preset_source(ref.preset)
        report, provenance = (_apply_local(model, source) if isinstance(source, LocalSource)
                              else _apply_preset(model, source, settings, progress))
        return report, provenance | described
    file = ref.headless_file if head_layer(model) is None and ref.headless_file else ref.file
    if file is None:
        raise WeightsError(f"The weights {ref.tag!r} name no file. Give one by path or address instead.")
    cached = fetch(file, settings, progress=progress)
    address = file.urls[0] if file.urls else file.file_name
    return _load_file(model, cached.entry.path), _provenance(address, cached) | described


def _apply_preset(model: keras.Model, source: PresetSource, settings: DownloadSettings,
                  progress: Progress | None) -> tuple[LoadReport, dict[str, Any]]:
    cached = {name: fetch(source.files[name], settings, progress=progress) for name in (CONFIG, BACKBONE)}
    if head_layer(model) is not None:
        head = fetch_optional(source.files[TASK], settings, progress=progress)
        cached |= {TASK: head} if head else {}
    report = load_preset(model, {name: file.entry.path for name, file in cached.items()})
    return report, _provenance(source.address, cached[BACKBONE])


def _apply_local(model: keras.Model, source: LocalSource) -> tuple[LoadReport, dict[str, Any]]:
    # Only the name goes into the provenance: the folders of the user's machine are nobody else's business.
    described = {"source": f"file:{source.path.name}", "file": source.path.name}
    if source.path.is_dir() and not (source.path / _BUNDLE_INDEX).is_file():
        files = preset_in(source.path)
        return load_preset(model, files), described | {"sha256": digests(files[BACKBONE]).sha256}
    path = _bundle_weights(source.path) if source.path.is_dir() else source.path
    found = digests(path).sha256
    if source.sha256 and found != source.sha256:
        raise ChecksumError(f"{path} is not the pinned file: its sha256 is {found}, expected {source.sha256}.")
    return _load_file(model, path), described | {"sha256": found}


def _provenance(address: str, cached: CachedFile) -> dict[str, Any]:
    return {"source": address, "file": cached.entry.file.file_name, "sha256": cached.sha256}


def _bundle_weights(folder: Path) -> Path:
    try:
        name = json.loads((folder / _BUNDLE_INDEX).read_text())["files"]["weights"]["name"]
        path = folder / Path(str(name)).name
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{folder / _BUNDLE_INDEX} is not the index of a saved model: {error!r}") from error
    if not path.is_file():
        raise WeightsError(f"The saved model in {folder} lacks its parameters: {path.name} is missing.")
    return path


# === One loader per kind of file ===


def _load_file(model: keras.Model, path: Path) -> LoadReport:
    """Loads a file by what it holds, whatever it is called."""
    with path.open("rb") as file:
        start = file.read(9)
    rule = head_rule(model)
    if start.startswith((_HDF5_MAGIC, _ZIP_MAGIC)):
        return load_keras_file(model, path, rule=rule)
    if start[8:9] == b"{":  # safetensors: eight bytes of length, then a JSON object
        return load_safetensors(model, path, rule=rule)
    hint = ""
    if start[:2] == b"\x80\x04" or path.suffix in (".bin", ".pt", ".pth", ".pkl"):
        hint = " Pickled files are never opened, because they can run code."
    raise WeightsError(f"{path} is no weights file that can be read here. Expected .weights.h5, .h5, .keras or "
                       f".safetensors, or the folder of a keras-hub preset.{hint}")
