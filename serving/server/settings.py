"""Everything that can be set about a server, with its default and its unit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from serving.errors import SettingsError

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class ServerSettings:
    """How to serve, and what.

    Args:
        root: Folder with one folder per model, each with numbered version folders; or one model's own folder.
        model_name: The model's name where `root` is one model's own folder; None takes the folder's name.
        host: Address to listen on. The default is reachable from this machine alone, because there is no login.
        grpc_port: TCP port of the gRPC interface; 0 takes a free one, None switches it off.
        rest_port: TCP port of the REST interface; 0 takes a free one, None switches it off.
        latest_versions: How many of a model's highest versions are served at once, 1 or more.
        poll_interval_seconds: Time between two looks at the folder, above 0.
        load_retries: How often a version that failed to load is tried again, 0 or more.
        load_retry_interval_seconds: Time between two such tries, 0 or more.
        load_threads: Versions loaded at the same time, 1 or more.
        warm_up: Replay a version's warm-up records before it becomes available.
        grpc_threads: Concurrent gRPC requests, 1 or more; the others wait.
        rest_threads: Concurrent REST requests, 1 or more; the others wait.
        max_rest_body_bytes: Largest REST request body; larger ones are answered with 413.
        drain_seconds: How long a stopping server waits for the requests that are being answered, 0 or more.
        intra_op_threads: Threads within one operation; 0 leaves it to TensorFlow.
        inter_op_threads: Threads across operations; 0 leaves it to TensorFlow.

    Raises:
        SettingsError: A value is out of its range.
    """

    root: Path
    model_name: str | None = None
    host: str = "127.0.0.1"
    grpc_port: int | None = 8500
    rest_port: int | None = 8501
    latest_versions: int = 1
    poll_interval_seconds: float = 1.0
    load_retries: int = 5
    load_retry_interval_seconds: float = 60.0
    load_threads: int = 2
    warm_up: bool = True
    grpc_threads: int = 16
    rest_threads: int = 16
    max_rest_body_bytes: int = 64 * MEBIBYTE
    drain_seconds: float = 30.0
    intra_op_threads: int = 0
    inter_op_threads: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))
        for name in ("grpc_port", "rest_port"):
            port = getattr(self, name)
            if port is not None and not 0 <= port <= 65535:
                raise SettingsError(f"`{name}` must be 0 to 65535, or None for off. Received: {port}")
        if self.grpc_port is None and self.rest_port is None:
            raise SettingsError("`grpc_port` and `rest_port` are both None: nothing would be served. Set one of them.")
        if self.grpc_port and self.grpc_port == self.rest_port:
            raise SettingsError(f"`grpc_port` and `rest_port` are both {self.grpc_port}; they must differ.")
        if not self.host:
            raise SettingsError("`host` is empty. Use 127.0.0.1 for this machine alone, or 0.0.0.0 for all interfaces.")
        for name in ("latest_versions", "load_threads", "grpc_threads", "rest_threads", "max_rest_body_bytes"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        for name in ("load_retries", "load_retry_interval_seconds", "drain_seconds", "intra_op_threads"):
            _require(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        _require("inter_op_threads", self.inter_op_threads, self.inter_op_threads >= 0, "0 or more")
        _require("poll_interval_seconds", self.poll_interval_seconds, self.poll_interval_seconds > 0, "above 0")


def _require(name: str, value: float, holds: bool, expected: str) -> None:
    if not holds:
        raise SettingsError(f"`{name}` must be {expected}. Received: {value}")
