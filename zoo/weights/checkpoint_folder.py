"""`fetch_folder`: the folder of a checkpoint or SavedModel, wherever it is kept, whole and checked."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from zoo.errors import ArgumentError, ChecksumError, DownloadError, WeightsError
from zoo.spec import FileRef
from zoo.weights.cache import CacheEntry, digests
from zoo.weights.download import CachedFile, fetch, fetch_optional
from zoo.weights.folder_cache import CachedFolder, archive_sha256
from zoo.weights.hub_handles import HubArchive
from zoo.weights.refs import FolderSource, LocalSource, PresetSource, RemoteSource, WeightsSource, parse_weights
from zoo.weights.repository_files import link_files, repository_files
from zoo.weights.saved_model_folder import is_saved_model, problem_with
from zoo.weights.settings import TFHUB_CACHE_VARIABLE, DownloadSettings
from zoo.weights.transfer import Progress
from zoo.weights.unpacking import content_root, is_archive, unpack

_KEY_CHARACTERS = 24


def fetch_folder(source: str | os.PathLike[str] | WeightsSource, settings: DownloadSettings | None = None,
                 progress: Progress | None = None) -> Path:
    """Returns the local folder of a checkpoint or SavedModel, fetching and unpacking it first where needed.

    Args:
        source: A folder or archive on this machine, or an address with a folder behind it: "hf://org/repository@rev",
            "tfhub:publisher/model/version", "kaggle:owner/model/framework/variation/version", the page of a model on
            tfhub.dev or Kaggle, or the web address of a .tar.gz, .tgz, .tar or .zip. "#sha256=..." behind an archive
            pins it. Also what `parse_weights` made of one.
        settings: Cache, mirror and tokens; None reads the environment.
        progress: Called with bytes so far and bytes in all (None = unknown), file by file.

    Returns:
        The folder, whole: other processes may use it at the same time. Its content must not be changed.

    Raises:
        ArgumentError: The source names no folder.
        DownloadError: Something could not be fetched; the message says what to do.
        ChecksumError: A file or archive is not the promised one.
        WeightsError: An archive that is broken or refused, half a SavedModel, or a repository without a checkpoint.
    """
    parsed = parse_weights(source) if isinstance(source, str | os.PathLike) else source
    settings = settings or DownloadSettings.from_environment()
    if isinstance(parsed, LocalSource) and parsed.path.is_dir():
        return _checked(parsed.path, f"{parsed.path}")
    if isinstance(parsed, LocalSource) and is_archive(parsed.path):
        parsed = FolderSource(f"file:{parsed.path.name}", path=parsed.path, sha256=parsed.sha256)
    if isinstance(parsed, FolderSource):
        return _checked(_from_archive(parsed, settings, progress), parsed.address)
    if isinstance(parsed, PresetSource):
        return _from_repository(parsed, settings, progress)
    named = parsed.address if isinstance(parsed, RemoteSource) else source
    raise ArgumentError(f"{named!r} names no folder. Expected a folder or archive on this machine, hf://ORG/REPOSITORY,"
                        " tfhub:PUBLISHER/MODEL/VERSION, kaggle:OWNER/MODEL/FRAMEWORK/VARIATION/VERSION or the "
                        "address of an archive.")


def recorded_handle(handle: str | os.PathLike[str], folder: Path) -> str:
    """Returns a handle as it may be written into a file: without user, password and query of an address.

    Args:
        handle: As for `fetch_folder`.
        folder: What `fetch_folder` returned for it.

    Returns:
        The short form of a TF Hub or Kaggle handle, the public address of an archive, anything else as it is. Where
        something was taken off, a pin is added, so that the cache still finds the folder.
    """
    source = parse_weights(handle)
    if not isinstance(source, FolderSource) or source.archive is None:
        return os.fspath(handle)
    url = source.archive.file.urls[0]
    shortened = source.archive.address.startswith("http") and source.archive.address != url
    pin = source.sha256 or (archive_sha256(folder) if shortened else "")
    return f"{source.address}#sha256={pin}" if pin else source.address


def _checked(folder: Path, address: str) -> Path:
    problem = problem_with(folder) if is_saved_model(folder) else ""
    if problem:
        raise WeightsError(f"The SavedModel of {address} is not whole: {problem}. Fetch or copy it again.")
    return folder


# === Archives ===


def _from_archive(source: FolderSource, settings: DownloadSettings, progress: Progress | None) -> Path:
    if source.path is not None:
        found = digests(source.path).sha256
        if source.sha256 and found != source.sha256:
            raise ChecksumError(f"{source.path} is not the pinned archive: its sha256 is {found}, expected "
                                f"{source.sha256}.")
        return _unpacked(source.path, found, source.address, settings)
    if source.archive is None:
        raise ArgumentError(f"The source {source.address!r} has neither an archive nor a path.")
    return _from_network(source.archive, settings, progress)


def _from_network(archive: HubArchive, settings: DownloadSettings, progress: Progress | None) -> Path:
    entry = CacheEntry.of(archive.file, settings.cache_root)
    known = archive.file.sha256 or entry.pinned_sha256()
    kept = _place(known, settings)
    if known and kept.is_whole():  # the archive itself is not needed any more, and may be deleted
        return content_root(kept.path)
    foreign, problem = (None, "") if archive.file.sha256 else _in_tfhub_cache(archive, settings)
    if foreign is not None:
        return foreign
    try:
        cached = fetch(archive.file, settings, progress=progress)
    except (DownloadError, ChecksumError) as error:
        in_one_line = " ".join(str(error).split())
        raise type(error)(f"{in_one_line}{problem} Or fetch {archive.address} in any other way and give its folder or "
                          "archive: weights=\"PATH\".") from error
    return _unpacked(cached.entry.path, cached.sha256, archive.address, settings)


def _unpacked(archive: Path, sha256: str, address: str, settings: DownloadSettings) -> Path:
    kept = _place(sha256, settings)
    folder = kept.obtain(lambda empty: unpack(archive, empty), {"source": address, "archive_sha256": sha256})
    return content_root(folder)


def _place(sha256: str, settings: DownloadSettings) -> CachedFolder:
    return CachedFolder.of(f"archive-{sha256[:_KEY_CHARACTERS]}", settings.cache_root)


def _in_tfhub_cache(archive: HubArchive, settings: DownloadSettings) -> tuple[Path | None, str]:
    """Looks where the tensorflow_hub package keeps its modules; returns the folder, or what is wrong with it."""
    if settings.tfhub_cache is None:
        return None, ""
    problem = ""
    for handle in archive.handles:
        folder = settings.tfhub_cache / hashlib.sha1(handle.encode(), usedforsecurity=False).hexdigest()
        if not folder.is_dir():
            continue
        wrong = problem_with(folder)
        if not wrong:
            return folder, ""
        problem = f" The folder {folder} of {TFHUB_CACHE_VARIABLE} is of no use: {wrong}; delete it."
    return None, problem


# === Repositories ===


def _from_repository(source: PresetSource, settings: DownloadSettings, progress: Progress | None) -> Path:
    above = next(iter(source.files.values())).urls[0].rpartition("/")[0]
    files = repository_files(*_getters(above, settings, progress), source.address)
    listing = {name: file.sha256 for name, file in files.items()}
    key = hashlib.sha256(json.dumps(listing, sort_keys=True).encode()).hexdigest()[:_KEY_CHARACTERS]
    place = CachedFolder.of(f"files-{key}", settings.cache_root)
    return place.obtain(lambda empty: link_files(files, empty), {"source": source.address})


def _getters(above: str, settings: DownloadSettings, progress: Progress | None
             ) -> tuple[Callable[[str], CachedFile], Callable[[str], CachedFile | None]]:
    def file_ref(name: str) -> FileRef:
        return FileRef(file_name=name.rpartition("/")[2], urls=(f"{above}/{name}",))

    return (lambda name: fetch(file_ref(name), settings, progress=progress),
            lambda name: fetch_optional(file_ref(name), settings, progress=progress))
