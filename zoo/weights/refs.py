"""What `weights=` means: a tag of the model, a local file or folder, or an address with an explicit scheme.

    "imagenet", "default"                a tag of the model's spec; "default" is the first one
    "runs/best.weights.h5"               a file or folder that exists
    "file:PATH"                          the same, also where the path looks like a tag
    "https://HOST/FILE", "http://..."    a file on the web
    "gs://BUCKET/PATH"                   a public file in Google Cloud Storage
    "hf://ORG/REPOSITORY[@REV][/FILE]"   a file, or the keras-hub preset, in a Hugging Face repository
    "kaggle:OWNER/MODEL/keras/VARIATION/VERSION[/FILE]"   the same on Kaggle
    "kaggle:OWNER/MODEL/tensorFlow2/VARIATION/VERSION"    a folder in an archive, such as a SavedModel
    "tfhub:PUBLISHER/MODEL/VERSION"      a SavedModel of TF Hub; also by the address of its page there or on Kaggle
    "module.tar.gz", "https://HOST/module.tar.gz"         a folder in an archive (.tgz, .tar and .zip too)

A single file or archive may be pinned: "https://host/model.h5#sha256=<64 hexadecimal digits>".
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote

from zoo.errors import UnknownNameError, WeightsError
from zoo.spec import FileRef, ModelSpec, WeightsRef
from zoo.weights.cache import is_sha256
from zoo.weights.hub_files import bucket_file, hugging_face_files, kaggle_files, web_file
from zoo.weights.hub_handles import HubArchive, handle_of_page, kaggle_archive, tfhub_archive
from zoo.weights.transfer import public_address
from zoo.weights.unpacking import ARCHIVE_SUFFIXES

DEFAULT_TAG = "default"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):(?://)?(.*)", re.DOTALL)
_PIN = "#sha256="


@dataclass(frozen=True)
class TagSource:
    """Weights that the model's spec publishes."""

    ref: WeightsRef


@dataclass(frozen=True)
class LocalSource:
    """A file or folder on this machine, and the sha256 it must have if the user gave one."""

    path: Path
    sha256: str = ""


@dataclass(frozen=True)
class RemoteSource:
    """One file on the network; `address` holds no secret and may be shown."""

    address: str
    file: FileRef


@dataclass(frozen=True)
class PresetSource:
    """The files of a keras-hub preset on the network, by name; `address` may be shown."""

    address: str
    files: Mapping[str, FileRef]


@dataclass(frozen=True)
class FolderSource:
    """A folder that comes as one archive: on the network (`archive.file`), or on this machine (`path`).

    `address` may be shown. `zoo.weights.checkpoint_folder.fetch_folder` makes the folder.
    """

    address: str
    archive: HubArchive | None = None
    path: Path | None = None
    sha256: str = ""


WeightsSource = TagSource | LocalSource | RemoteSource | PresetSource | FolderSource


def parse_weights(text: str | os.PathLike[str] | None, spec: ModelSpec | None = None) -> WeightsSource | None:
    """Returns what `weights=` names, without touching the network.

    Args:
        text: A tag, a path or an address, as this module's docstring lists them; None = random parameters.
        spec: The model, whose tags are known; None where only paths and addresses can be meant.

    Returns:
        The source, or None for random parameters.

    Raises:
        UnknownNameError: No such tag or scheme; the message has the nearest ones.
        WeightsError: A path that does not exist, or a malformed address.
    """
    if text is None:
        return None
    if isinstance(text, os.PathLike):
        return _local(os.fspath(text), "")
    tags = {ref.tag: ref for ref in spec.weights} if spec is not None else {}
    if text == DEFAULT_TAG and spec is not None and DEFAULT_TAG not in tags:
        if not tags:
            raise WeightsError(f"{spec.name} has no published weights. Leave `weights` out for random parameters, or "
                               f"give a path or an address: {_forms()}.")
        return TagSource(spec.weights[0])
    if text in tags:
        return TagSource(tags[text])
    scheme = _SCHEME.fullmatch(text)
    if scheme and scheme[1].lower() in _READERS:
        rest, sha256 = _split_pin(text, scheme[2])
        return _READERS[scheme[1].lower()](scheme[1].lower(), rest, sha256)
    if Path(text).expanduser().exists():
        return _local(text, "")
    if scheme:
        raise UnknownNameError("weights scheme", scheme[1], _READERS, f"Known forms: {_forms()}.")
    if "/" in text or "\\" in text or Path(text).suffix in (".h5", ".hdf5", ".keras", ".safetensors"):
        raise WeightsError(f"The weights {text!r} are neither an existing path nor an address. Check the path (it is "
                           f"looked up in {Path.cwd()}), or write an address with its scheme: {_forms()}.")
    owner = f" of {spec.name}" if spec is not None else ""
    listed = f"It has: {', '.join(tags)}." if tags else "It has no published weights."
    raise UnknownNameError(f"weights tag{owner}", text, [*tags, DEFAULT_TAG] if tags else [],
                           f"{listed} Paths and addresses are taken too: {_forms()}.")


def preset_source(handle: str) -> PresetSource | LocalSource:
    """Returns the source that a spec names as `WeightsRef.preset`.

    Args:
        handle: "kaggle:...", "hf://..." or "file:FOLDER".

    Returns:
        The preset's files, or its local folder.

    Raises:
        WeightsError: The handle names no preset.
    """
    source = parse_weights(handle)
    if isinstance(source, PresetSource | LocalSource):
        return source
    raise WeightsError(f"{handle!r} names no keras-hub preset. Expected a folder: kaggle:..., hf://... or file:....")


# === One reader per scheme ===


def _local(text: str, sha256: str) -> LocalSource | FolderSource:
    path = Path(text).expanduser()
    if not text or not path.exists():
        raise WeightsError(f"The weights file {text!r} does not exist (looked up in {Path.cwd()}).")
    if path.is_file() and path.name.lower().endswith(ARCHIVE_SUFFIXES):
        return FolderSource(f"file:{path.name}", path=path.absolute(), sha256=sha256)
    return LocalSource(path.absolute(), sha256)


def _read_file(scheme: str, rest: str, sha256: str) -> LocalSource | FolderSource:
    return _local(rest if Path(rest).expanduser().exists() else unquote(rest), sha256)


def _read_web(scheme: str, rest: str, sha256: str) -> WeightsSource:
    url = f"{scheme}://{rest}"
    handle = handle_of_page(url)
    if handle:
        scheme, _, rest = handle.partition(":")
        return _READERS[scheme](scheme, rest, sha256)
    file = web_file(url, sha256)
    if file.file_name.lower().endswith(ARCHIVE_SUFFIXES):
        return FolderSource(public_address(url), HubArchive(public_address(url), file), sha256=sha256)
    return RemoteSource(public_address(url), file)


def _read_bucket(scheme: str, rest: str, sha256: str) -> RemoteSource:
    return RemoteSource(f"gs://{rest}", bucket_file(rest, sha256))


def _read_hugging_face(scheme: str, rest: str, sha256: str) -> WeightsSource:
    return _file_or_preset(f"hf://{rest}", hugging_face_files(rest, sha256), sha256)


def _read_kaggle(scheme: str, rest: str, sha256: str) -> WeightsSource:
    framework = (rest.strip("/").split("/") + [""] * 3)[2]
    if framework and framework.lower() != "keras":
        archive = kaggle_archive(rest, sha256)
        return FolderSource(archive.address, archive, sha256=sha256)
    return _file_or_preset(f"kaggle:{rest}", kaggle_files(rest, sha256), sha256)


def _read_tfhub(scheme: str, rest: str, sha256: str) -> FolderSource:
    archive = tfhub_archive(rest, sha256)
    return FolderSource(archive.address, archive, sha256=sha256)


def _file_or_preset(address: str, found: FileRef | Mapping[str, FileRef], sha256: str) -> WeightsSource:
    if isinstance(found, FileRef):
        return RemoteSource(address, found)
    if sha256:
        raise WeightsError(f"{address!r} is a folder of files, and {_PIN}... pins a single file. Name the file, or "
                           "pin the revision or version instead.")
    return PresetSource(address, found)


_READERS: Mapping[str, Callable[[str, str, str], WeightsSource]] = MappingProxyType({
    "file": _read_file, "https": _read_web, "http": _read_web, "gs": _read_bucket, "hf": _read_hugging_face,
    "kaggle": _read_kaggle, "tfhub": _read_tfhub})


def _forms() -> str:
    return "file:PATH, https://HOST/FILE, gs://BUCKET/PATH, hf://ORG/REPOSITORY[@REVISION][/FILE], " \
           "kaggle:OWNER/MODEL/keras/VARIATION/VERSION, tfhub:PUBLISHER/MODEL/VERSION"


def _split_pin(text: str, rest: str) -> tuple[str, str]:
    """Takes a trailing `#sha256=...` off."""
    before, mark, pin = rest.rpartition(_PIN)
    if not mark:
        return rest, ""
    if not is_sha256(pin.lower()):
        raise WeightsError(f"A pin must read {_PIN} and 64 hexadecimal digits. Received: {public_address(text)!r} "
                           f"with {pin!r}")
    return before, pin.lower()
