"""Addresses of files on the hubs: Hugging Face, Kaggle models, Google Cloud Storage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

from zoo.errors import WeightsError
from zoo.spec import FileRef

# The files of a keras-hub preset that hold parameters; the two of the task are there only if it was saved with a head.
PRESET_FILES = ("config.json", "model.weights.h5", "task.json", "task.weights.h5")

_HF_FORM = "hf://ORGANISATION/REPOSITORY[@REVISION][/FILE]"
_KAGGLE_FORM = "kaggle:OWNER/MODEL/keras/VARIATION/VERSION[/FILE]"
_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*")


def hugging_face_files(handle: str, sha256: str = "") -> FileRef | Mapping[str, FileRef]:
    """Returns what `hf://` names.

    Args:
        handle: What stands behind "hf://": organisation/repository, an optional @revision, an optional file.
        sha256: The content that the file must have, where the user knows it.

    Returns:
        One file where the handle names one, and else the files of the keras-hub preset in the repository, by name.

    Raises:
        WeightsError: The handle is malformed.
    """
    parts = handle.strip("/").split("/")
    repository, _, revision = parts[1].partition("@") if len(parts) > 1 else ("", "", "")
    if not _plain(parts[0], repository, revision or "main", *parts[2:]):
        raise WeightsError(f"Hugging Face weights must read {_HF_FORM}. Received: {'hf://' + handle!r}")
    above = f"https://huggingface.co/{parts[0]}/{repository}/resolve/{revision or 'main'}/"
    if len(parts) > 2:
        return _file(above + "/".join(parts[2:]), sha256)
    return {name: _file(above + name) for name in PRESET_FILES}


def kaggle_files(handle: str, sha256: str = "") -> FileRef | Mapping[str, FileRef]:
    """Returns what `kaggle:` names.

    Args:
        handle: What stands behind "kaggle:": owner/model/keras/variation/version and an optional file.
        sha256: The content that the file must have, where the user knows it.

    Returns:
        One file where the handle names one, and else the files of the keras-hub preset, by name.

    Raises:
        WeightsError: The handle is malformed, has no version, or names no Keras model.
    """
    parts = handle.strip("/").split("/")
    if len(parts) == 4:
        raise WeightsError(f"The Kaggle handle {handle!r} has no version, so what it means may change. Give one: "
                           f"'kaggle:{handle.strip('/')}/1'.")
    if len(parts) < 5 or not _plain(*parts) or not parts[4].isdigit():
        raise WeightsError(f"Kaggle weights must read {_KAGGLE_FORM}. Received: {'kaggle:' + handle!r}")
    if parts[2].lower() != "keras":
        raise WeightsError(f"The Kaggle handle {handle!r} is of the framework {parts[2]!r}; only 'keras' can be "
                           f"loaded: {_KAGGLE_FORM}")
    above = f"https://www.kaggle.com/api/v1/models/{'/'.join(parts[:5])}/download/"
    if len(parts) > 5:
        return _file(above + "/".join(parts[5:]), sha256)
    return {name: _file(above + name) for name in PRESET_FILES}


def bucket_file(address: str, sha256: str = "") -> FileRef:
    """Returns the file that `gs://bucket/path` names, by its public https address.

    Args:
        address: What stands behind "gs://".
        sha256: The content that the file must have, where the user knows it.

    Returns:
        The file.

    Raises:
        WeightsError: There is no bucket or no path.
    """
    bucket, _, path = address.partition("/")
    if not bucket or not path.strip("/"):
        raise WeightsError(f"A file in a bucket must read gs://BUCKET/PATH. Received: {'gs://' + address!r}")
    return _file(f"https://storage.googleapis.com/{bucket}/{quote(path)}", sha256)


def web_file(url: str, sha256: str = "") -> FileRef:
    """Returns the file at an http or https address.

    Args:
        url: The address.
        sha256: The content that the file must have, where the user knows it.

    Returns:
        The file; its name in the cache is the last part of the address's path.

    Raises:
        WeightsError: The address names no host or no file.
    """
    parts = urlsplit(url)
    if not parts.hostname or not parts.path.strip("/"):
        raise WeightsError(f"A weights address must name a host and a file. Received: {url!r}")
    return _file(url, sha256)


def _file(url: str, sha256: str = "") -> FileRef:
    last = unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])
    # The name is only for people to recognise; the key of the cache entry tells files of one name apart.
    name = re.sub(r"[^A-Za-z0-9._+-]", "_", last)[-100:].lstrip(".") or "weights"
    return FileRef(file_name=name, urls=(url,), sha256=sha256)


def _plain(*names: str) -> bool:
    return all(_NAME.fullmatch(name) for name in names)
