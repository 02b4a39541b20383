"""The threads behind a model folder: poll, load, retry, replace, drain, unload."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from serving.errors import ModelLoadError, ServableNotFoundError, StatusCode
from serving.server.policy import Load, VersionSnapshot, VersionState, next_actions, wanted_versions
from serving.server.servable import Servable
from serving.server.source import FolderSource, FoundModels

Loader = Callable[[str, int, Path], Servable]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VersionStatus:
    """What is to be told about one version."""

    version: int
    state: VersionState
    code: StatusCode = StatusCode.OK
    message: str = ""


@dataclass
class _Version:
    """One version's life; every change happens under the manager's lock."""

    model: str
    number: int
    folder: Path
    state: VersionState = VersionState.START
    wanted: bool = True
    servable: Servable | None = None
    requests: int = 0
    failures: int = 0
    retry_at: float | None = None
    code: StatusCode = StatusCode.OK
    message: str = ""


class ModelManager:
    """Keeps the loaded versions equal to what the folder and the policy ask for.

    Args:
        source: The folder.
        load: Loads and warms up one version; raises ModelLoadError.
        latest_versions: How many of a model's highest versions are served, 1 or more.
        poll_interval_seconds: Time between two looks at the folder.
        load_retries: How often a failed load is tried again.
        load_retry_interval_seconds: Time between two tries.
        load_threads: Loads at the same time.
    """

    def __init__(
        self,
        source: FolderSource,
        load: Loader,
        *,
        latest_versions: int = 1,
        poll_interval_seconds: float = 1.0,
        load_retries: int = 5,
        load_retry_interval_seconds: float = 60.0,
        load_threads: int = 2,
    ) -> None:
        self._source = source
        self._load = load
        self._latest_versions = latest_versions
        self._poll_interval_seconds = poll_interval_seconds
        self._load_retries = load_retries
        self._load_retry_interval_seconds = load_retry_interval_seconds
        self._models: dict[str, dict[int, _Version]] = {}
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._stopping = False
        self._scan_failed = False
        self._loaders = ThreadPoolExecutor(load_threads, thread_name_prefix="model-loader")
        self._closers = ThreadPoolExecutor(1, thread_name_prefix="model-closer")
        self._poller = threading.Thread(target=self._poll, name="model-poller", daemon=True)

    def start(self) -> None:
        """Look at the folder once, then go on doing so in a thread.

        Raises:
            OSError: The folder cannot be read.
        """
        self._apply(self._source.scan())
        self._act()
        self._poller.start()

    def stop(self) -> None:
        """Stop polling and unload everything. A load that is under way is waited for.

        Requests should be over: a version that still answers one is left as it is.
        """
        self._stopping = True
        self._wake.set()
        if self._poller.ident is not None:
            self._poller.join()
        self._loaders.shutdown(wait=True, cancel_futures=True)
        with self._changed:
            for entry in self._all_versions():
                if entry.state is VersionState.AVAILABLE:
                    self._begin_unload(entry)
        self._closers.shutdown(wait=True)

    @contextlib.contextmanager
    def lease(self, model: str, version: int | None = None) -> Iterator[Servable]:
        """A loaded version that stays loaded for as long as the context lasts.

        Args:
            model: The model's name.
            version: The version's number; None takes the highest one that is available.

        Yields:
            The loaded version.

        Raises:
            ServableNotFoundError: No such version is available.
        """
        with self._changed:
            entry = self._available(model, version)
            servable = entry.servable
            entry.requests += 1
        try:
            if servable is None:  # cannot be while a version is AVAILABLE; said for the type checker
                raise ServableNotFoundError(_not_found(model, version))
            yield servable
        finally:
            with self._changed:
                entry.requests -= 1
                if entry.requests == 0 and entry.state is VersionState.UNLOADING and not self._stopping:
                    self._closers.submit(self._close, entry)

    def status(self, model: str) -> list[VersionStatus]:
        """The state of every version that was ever seen of a model, highest first; empty for an unknown model."""
        with self._changed:
            return [
                VersionStatus(entry.number, entry.state, entry.code, entry.message)
                for _, entry in sorted(self._models.get(model, {}).items(), reverse=True)
            ]

    def knows(self, model: str) -> bool:
        """Whether a model of this name was ever seen."""
        return model in self._models

    def models(self) -> list[str]:
        """The names of all models that were ever seen, sorted."""
        with self._changed:
            return sorted(self._models)

    def wait_until_settled(self, timeout_seconds: float | None = None) -> bool:
        """Wait until no wanted version is about to be loaded for the first time.

        Args:
            timeout_seconds: Longest wait; None waits for ever.

        Returns:
            Whether it is so; False after the time is over. A version that failed and will be retried counts as settled.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not any(map(_is_pending, self._all_versions())), timeout_seconds)

    # ---- the poller's thread

    def _poll(self) -> None:
        while not self._stopping:
            self._wake.wait(self._poll_interval_seconds)
            self._wake.clear()
            if self._stopping:
                return
            try:
                self._apply(self._source.scan())
                self._scan_failed = False
            except OSError as error:
                # The folder may be on a network that comes back; what is loaded goes on being served.
                if not self._scan_failed:
                    _log.warning("The model folder cannot be read; what is loaded stays: %s", error)
                self._scan_failed = True
            self._act()

    def _apply(self, found: FoundModels) -> None:
        with self._changed:
            for model, folders in found.items():
                versions = self._models.setdefault(model, {})
                for number in wanted_versions(folders, self._latest_versions):
                    entry = versions.get(number)
                    if entry is None or _may_start_anew(entry):
                        versions[number] = _Version(model, number, folders[number])
            for model, versions in self._models.items():
                wanted = wanted_versions(found.get(model, ()), self._latest_versions)
                for number, entry in versions.items():
                    entry.wanted = number in wanted

    def _act(self) -> None:
        with self._changed:
            for versions in self._models.values():
                snapshots = [VersionSnapshot(one.number, one.state, one.wanted) for one in versions.values()]
                for action in next_actions(snapshots):
                    entry = versions[action.version]
                    if isinstance(action, Load):
                        self._begin_load(entry)
                    else:
                        self._begin_unload(entry)
                for entry in versions.values():
                    self._retry_or_give_up(entry)

    def _begin_load(self, entry: _Version) -> None:
        entry.state = VersionState.LOADING
        entry.retry_at = None
        self._loaders.submit(self._load_version, entry)

    def _begin_unload(self, entry: _Version) -> None:
        entry.state = VersionState.UNLOADING
        if entry.requests == 0:  # else the last request does it
            self._closers.submit(self._close, entry)

    def _retry_or_give_up(self, entry: _Version) -> None:
        if entry.state is not VersionState.LOADING or entry.retry_at is None:
            return
        if not entry.wanted:
            self._end(entry)
        elif time.monotonic() >= entry.retry_at:
            self._begin_load(entry)

    # ---- the workers' threads

    def _load_version(self, entry: _Version) -> None:
        try:
            servable = self._load(entry.model, entry.number, entry.folder)
        except ModelLoadError as error:
            _log.error("%s", error)
            self._failed(entry, str(error))
            return
        except Exception as error:
            _log.exception("Loading version %d of model %r failed", entry.number, entry.model)
            self._failed(entry, f"{type(error).__name__}: {error}")
            return
        with self._changed:
            entry.servable = servable
            entry.state = VersionState.AVAILABLE
            entry.code, entry.message = StatusCode.OK, ""
            self._changed.notify_all()
        _log.info("Version %d of model %r is available", entry.number, entry.model)
        self._wake.set()  # an older version may go now

    def _failed(self, entry: _Version, message: str) -> None:
        with self._changed:
            entry.failures += 1
            entry.code, entry.message = StatusCode.UNKNOWN, message
            if entry.failures > self._load_retries or not entry.wanted:
                self._end(entry)
            else:
                entry.retry_at = time.monotonic() + self._load_retry_interval_seconds
            self._changed.notify_all()

    def _close(self, entry: _Version) -> None:
        with self._changed:
            servable, entry.servable = entry.servable, None
        try:
            if servable is not None:
                servable.close()
        except Exception:
            _log.exception("Unloading version %d of model %r failed", entry.number, entry.model)
        with self._changed:
            self._end(entry)
        _log.info("Version %d of model %r is unloaded", entry.number, entry.model)

    # ---- under the lock

    def _end(self, entry: _Version) -> None:
        entry.state = VersionState.END
        entry.retry_at = None
        self._changed.notify_all()

    def _available(self, model: str, version: int | None) -> _Version:
        versions = self._models.get(model, {})
        if version is not None:
            entry = versions.get(version)
            if entry is not None and entry.state is VersionState.AVAILABLE:
                return entry
        else:
            available = [number for number, one in versions.items() if one.state is VersionState.AVAILABLE]
            if available:
                return versions[max(available)]
        raise ServableNotFoundError(_not_found(model, version))

    def _all_versions(self) -> list[_Version]:
        return [entry for versions in self._models.values() for entry in versions.values()]


def _is_pending(entry: _Version) -> bool:
    if entry.state is VersionState.START:
        return entry.wanted
    return entry.state is VersionState.LOADING and entry.retry_at is None


def _may_start_anew(entry: _Version) -> bool:
    # One that was unloaded, or that failed and was not wanted in between. One that failed for good is left alone for as
    # long as its folder stays as it is.
    return entry.state is VersionState.END and (not entry.wanted or entry.code is StatusCode.OK)


def _not_found(model: str, version: int | None) -> str:
    wanted = f"Latest({model})" if version is None else f"Specific({model}, {version})"
    return f"Servable not found for request: {wanted}"
