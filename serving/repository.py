"""A model repository: <root>/<model>/<version>/, and how a version comes to be there whole or not at all.

A version is written into `<root>/<model>/.staging-<uuid>`, made durable with fsync, and renamed to its number in one
step of the file system. TensorFlow Serving skips folders whose names are not numbers, so it never sees the first half
of one. Beside each staging folder lies a lock file that its writer holds (flock) for as long as the process lives; a
folder whose lock can be taken belongs to a dead process and is removed by the next writer.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from serving.errors import RepositoryError

MAX_VERSION = 2**63 - 1
STAGING_PREFIX = ".staging-"
_LOCK_SUFFIX = ".lock"
# One path segment that needs no escaping in a URL; TensorFlow Serving's REST paths end a name at '/' and ':'.
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


# === Names and numbers ===


def check_model_name(name: str) -> str:
    """Returns `name` if it can name a model in TensorFlow Serving's paths.

    Raises:
        RepositoryError: It has other characters than letters, digits, '_', '-', '.', starts with '.', '_' or '-', or
            has more than 128 characters.
    """
    if not isinstance(name, str) or not _MODEL_NAME.fullmatch(name):
        raise RepositoryError(
            f"A served model's name has 1 to 128 letters, digits, '_', '-' and '.', and starts with a letter or digit, "
            f"because it is part of the URL. Received: {name!r}"
        )
    return name


def check_version(version: int) -> int:
    """Returns `version` if it can number a version folder.

    Raises:
        RepositoryError: It is no whole number from 1 to 2**63 - 1.
    """
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= MAX_VERSION:
        raise RepositoryError(f"A version is a whole number from 1 to {MAX_VERSION}. Received: {version!r}")
    return version


def list_models(root: str | Path) -> list[str]:
    """The names of the models under `root` that have at least one version, sorted."""
    root = Path(root)
    if not root.is_dir():
        return []
    return sorted(child.name for child in root.iterdir()
                  if _MODEL_NAME.fullmatch(child.name) and list_versions(root, child.name))


def list_versions(root: str | Path, name: str) -> list[int]:
    """The numbers of the version folders of a model, ascending; empty for a model that is not there."""
    folder = Path(root) / name
    if not folder.is_dir():
        return []
    return sorted({int(child.name) for child in folder.iterdir() if _is_number(child.name) and child.is_dir()})


def version_path(root: str | Path, name: str, version: int | None = None) -> Path:
    """The folder of a version, or of the newest one.

    Raises:
        RepositoryError: The model or the version is not there; the message lists what is.
    """
    versions = list_versions(root, name)
    if not versions:
        there = ", ".join(list_models(root)) or "none"
        raise RepositoryError(f"No version of a model {name!r} under {root}. Models there: {there}.")
    wanted = versions[-1] if version is None else version
    for child in (Path(root) / name).iterdir():
        if _is_number(child.name) and int(child.name) == wanted and child.is_dir():
            return child
    raise RepositoryError(f"Model {name!r} under {root} has no version {wanted}. "
                          f"It has: {', '.join(map(str, versions))}.")


def next_version(root: str | Path, name: str) -> int:
    """One more than the highest number that any entry of the model's folder has; 1 for a new model."""
    return max(_taken(Path(root) / name), default=0) + 1


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _taken(folder: Path) -> set[int]:
    """Numbers in use, however spelled ("7", "007"): TensorFlow Serving reads both as 7 and ignores one."""
    return {int(child.name) for child in folder.iterdir() if _is_number(child.name)} if folder.is_dir() else set()


# === Writing a version ===


@dataclass
class Staging:
    """A folder that becomes a version when `publish` is called, and nothing when it is not.

    Attributes:
        folder: The model's folder, <root>/<model>.
        path: The staging folder to write into.
        version: The version that it became, or None.
    """

    folder: Path
    path: Path
    version: int | None = None

    def publish(self, version: int | None = None) -> Path:
        """Makes the files durable and gives the folder its number.

        Args:
            version: The number, or None for the next free one; a number that another writer takes first is skipped.

        Returns:
            The version folder.

        Raises:
            RepositoryError: `version` exists. A version is never overwritten.
        """
        make_durable(self.path)
        for candidate in [version] if version is not None else self._candidates():
            target = self.folder / str(candidate)
            if candidate not in _taken(self.folder) and _rename_to_new(self.path, target):
                _sync(self.folder)
                self.version = candidate
                return target
        raise RepositoryError(f"Version {version} of {self.folder.name!r} exists at {self.folder}. A version is never "
                              "overwritten: choose another number, or give none for the next free one.")

    def _candidates(self) -> Iterator[int]:
        while True:
            yield next_version(self.folder.parent, self.folder.name)


@contextlib.contextmanager
def stage(root: str | Path, name: str) -> Iterator[Staging]:
    """Gives a staging folder for a new version and removes it unless it was published.

    Also removes what dead writers left behind. A model folder that it had to make goes again with the failed attempt.

    Args:
        root: The repository's folder; made if missing.
        name: The model.

    Raises:
        RepositoryError: The name cannot be served, or the folder cannot be written.
    """
    folder = Path(root) / check_model_name(name)
    made = _make_folder(folder)
    remove_stale_staging(root, name)
    try:
        with _locked_staging(folder) as path:
            yield Staging(folder, path)
    finally:
        for empty in made:
            with contextlib.suppress(OSError):  # it holds something by now: good
                empty.rmdir()


def remove_stale_staging(root: str | Path, name: str) -> list[Path]:
    """Removes the staging folders of a model whose writers are dead.

    Returns:
        The removed folders.
    """
    folder = Path(root) / name
    removed: list[Path] = []
    if not folder.is_dir():
        return removed
    for lock in sorted(folder.glob(f"{STAGING_PREFIX}*{_LOCK_SUFFIX}")):
        descriptor = _take_lock(lock, create=False)
        if descriptor is None:
            continue  # its writer lives
        try:
            staging = lock.with_name(lock.name.removesuffix(_LOCK_SUFFIX))
            if staging.is_dir():
                shutil.rmtree(staging, ignore_errors=True)
                removed.append(staging)
            lock.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
    return removed


def require_space(root: str | Path, needed_bytes: int) -> None:
    """Checks that the disk under `root` has room.

    Args:
        root: A folder that need not exist yet.
        needed_bytes: The room that is needed, in bytes.

    Raises:
        RepositoryError: There is less; the message says how much.
    """
    place = Path(root).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed_bytes:
        raise RepositoryError(f"The disk at {place} has {free / 1e6:.1f} MB free, and {needed_bytes / 1e6:.1f} MB are "
                              "needed. Make room, or choose a folder on another disk.")


def make_durable(folder: Path) -> None:
    """Asks the system to put every file and folder under `folder` on the disk before it returns (fsync)."""
    for parent, _, files in os.walk(folder, topdown=False):
        for file in files:
            _sync(Path(parent) / file)
        _sync(Path(parent))


# === Steps of the file system ===


def _make_folder(folder: Path) -> list[Path]:
    """Makes `folder` and its parents; returns those that were not there, innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RepositoryError(f"The model folder {folder} cannot be made: {error.strerror}. "
                              "Choose a root folder that you may write to.") from error
    return missing


@contextlib.contextmanager
def _locked_staging(folder: Path) -> Iterator[Path]:
    path, lock, descriptor = _new_staging(folder)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)  # nothing is there any more after a rename
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _new_staging(folder: Path) -> tuple[Path, Path, int]:
    while True:
        path = folder / f"{STAGING_PREFIX}{uuid.uuid4().hex}"
        lock = path.with_name(path.name + _LOCK_SUFFIX)
        try:
            descriptor = _take_lock(lock, create=True)
            if descriptor is not None:
                path.mkdir()
                return path, lock, descriptor
        except OSError as error:
            raise RepositoryError(f"Nothing can be written into {folder}: {error.strerror}. "
                                  "Choose a root folder that you may write to, on a disk with room.") from error


def _take_lock(lock: Path, *, create: bool) -> int | None:
    """Opens and locks a file; None if another process holds it or it went away meanwhile."""
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0)
    try:
        descriptor = os.open(lock, flags, 0o644)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Between open and flock a cleaner may have removed the file: then this lock guards nothing.
        if os.fstat(descriptor).st_ino == lock.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _rename_to_new(source: Path, target: Path) -> bool:
    """Renames a folder; False if the target is taken (a full folder or a file)."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            return False
        raise
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
