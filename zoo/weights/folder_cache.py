"""Folders in the cache: unpacked archives and the files of a repository put together, whole or not at all.

    <cache root>/folders/<key>/content/...    the files
    <cache root>/folders/<key>/stamp.json     where they come from: size, time and sha256 of each
    <cache root>/folders/<key>.lock           held by the process that makes the folder
    <cache root>/folders/.<key>.*             what an unfinished one has left; removed by the next

The key comes from the content, so a folder is never changed after it has appeared.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import DownloadError
from zoo.weights.cache import digests, sync

_FORMAT = 1
_CONTENT = "content"
_STAMP = "stamp.json"


@dataclass(frozen=True)
class CachedFolder:
    """The place of one folder in the cache.

    Attributes:
        key: Its name there, made from what it must hold.
        above: The folder of all folders.
    """

    key: str
    above: Path

    @classmethod
    def of(cls, key: str, cache_root: Path) -> CachedFolder:
        """Returns the place of the folder with this key."""
        return cls(key, cache_root / "folders")

    @property
    def path(self) -> Path:
        """Where the content lies."""
        return self.above / self.key / _CONTENT

    def is_whole(self) -> bool:
        """Returns whether the folder is there and its files are those that were put in.

        A file of the noted size and time counts as unchanged; another one is read.
        """
        try:
            noted = json.loads((self.above / self.key / _STAMP).read_text())["files"]
            return (set(noted) == set(_files(self.path))
                    and all(_unchanged(self.path / name, entry) for name, entry in noted.items()))
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def obtain(self, fill: Callable[[Path], None], source: dict[str, str]) -> Path:
        """Returns the content's folder, filling it first where it is missing or damaged.

        Args:
            fill: Puts the files into the empty folder that it is given.
            source: What is noted in the stamp beside the files.

        Returns:
            The folder; other processes see it whole or not at all.

        Raises:
            DownloadError: The cache cannot be written.
        """
        if self.is_whole():
            return self.path
        try:
            with self._locked():
                if not self.is_whole():  # another process may have made it meanwhile
                    self._make(fill, source)
        except OSError as error:
            raise DownloadError(f"The folder {self.above / self.key} could not be made: {error.strerror or error}. "
                                "Make room, or point ZOO_CACHE to a folder that you may write to.") from error
        return self.path

    def _make(self, fill: Callable[[Path], None], source: dict[str, str]) -> None:
        for left in self.above.glob(f".{self.key}.*"):  # we hold the lock, so nobody works there
            shutil.rmtree(left, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{self.key}.", dir=self.above))
        try:
            content = staging / _CONTENT
            content.mkdir()
            fill(content)
            stamp = {"format": _FORMAT, **source, "files": {name: _noted(content / name) for name in _files(content)}}
            (staging / _STAMP).write_text(json.dumps(stamp, indent=1, sort_keys=True) + "\n")
            for entry in [*content.rglob("*"), staging / _STAMP, content, staging]:
                sync(entry)
            staging.chmod(0o755)
            final = self.above / self.key
            if final.exists():  # damaged
                final.rename(self.above / f".{self.key}.damaged-{os.getpid()}")
            staging.rename(final)
            sync(self.above)
        finally:
            for left in self.above.glob(f".{self.key}.*"):
                shutil.rmtree(left, ignore_errors=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.above.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.above / f"{self.key}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def archive_sha256(folder: Path) -> str:
    """Returns the sha256 of the archive that a folder of the cache came from, or an empty string."""
    for above in folder.parents:
        if (above / _STAMP).is_file():
            return str(json.loads((above / _STAMP).read_text()).get("archive_sha256", ""))
    return ""


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def _noted(path: Path) -> dict[str, Any]:
    found = path.stat()
    return {"size": found.st_size, "time": found.st_mtime_ns, "sha256": digests(path).sha256}


def _unchanged(path: Path, noted: dict[str, Any]) -> bool:
    found = path.stat()
    if found.st_size != noted["size"]:
        return False
    return bool(found.st_mtime_ns == noted["time"] or digests(path).sha256 == noted["sha256"])
