"""A server on loopback and settings that keep everything in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.zoo.weights.file_server import FileServer
from zoo.weights.settings import DownloadSettings


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> DownloadSettings:
    return DownloadSettings(cache_root=tmp_path / "cache", backoff_seconds=0.001, read_timeout_seconds=5.0)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the machine's own proxy, mirror and tokens out of the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "ZOO_MIRROR", "ZOO_OFFLINE", "ZOO_CACHE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
