"""A folder of tiny models and a server on it, shared by the tests of the server and of the client."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.client import PredictClient
from serving.server.app import ModelServer, running_server
from serving.server.settings import ServerSettings
from tests.serving.tiny_models import Echo, WithDefault, save, save_half_plus_two, save_mixed


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    save_half_plus_two(root / "half_plus_two" / "1")
    save(Echo(), root / "echo" / "3")
    save_mixed(root / "mixed" / "1")
    save(WithDefault(), root / "with_default" / "1")
    return root


@pytest.fixture(scope="session")
def tiny_server(tiny_root: Path) -> Iterator[ModelServer]:
    with running_server(ServerSettings(tiny_root, grpc_port=0, rest_port=0, max_rest_body_bytes=1_000_000)) as server:
        yield server


@pytest.fixture(scope="session")
def addresses(tiny_server: ModelServer) -> dict[str, str]:
    return {"grpc": f"grpc://127.0.0.1:{tiny_server.grpc_port}", "http": f"http://127.0.0.1:{tiny_server.rest_port}"}


@pytest.fixture(params=["grpc", "http"])
def client(request: pytest.FixtureRequest, addresses: dict[str, str]) -> Iterator[PredictClient]:
    with PredictClient(addresses[request.param]) as client:
        yield client


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on (for as long as nobody else takes it)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])
