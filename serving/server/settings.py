"""Everything that can be set about a server, with its default and its unit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from serving.errors import SettingsError
from serving.server.batching_parameters import BatchingParameters
from serving.server.model_config import ModelConfig
from serving.server.request_log_settings import RequestLogSettings

if TYPE_CHECKING:
    from serving.server.tls import TlsFiles  # it imports gRPC, which settings need not wait for

MEBIBYTE = 1024 * 1024
METRICS_PATH = "/monitoring/prometheus/metrics"


@dataclass(frozen=True)
class ServerSettings:
    """How to serve, and what: a folder (`root`), a list (`models`) or a file (`model_config_file`), one of them.

    Args:
        root: Folder with one folder per model, each with numbered version folders; or one model's own folder.
        model_name: The model's name where `root` is one model's own folder; None takes the folder's name.
        models: The models to serve, each with its own folder, version policy and labels.
        model_config_file: File with the models to serve, in TensorFlow Serving's text format.
        model_config_poll_seconds: Time between two readings of that file; 0 reads it once.
        allow_version_labels_for_unavailable_models: Let a new label name a version that is not available yet.
        host: Address to listen on. The default is reachable from this machine alone, because there is no login.
        grpc_port: TCP port of the gRPC interface; 0 takes a free one, None switches it off.
        rest_port: TCP port of the REST interface; 0 takes a free one, None switches it off.
        grpc_socket_path: Unix socket on which gRPC is answered too; None for none.
        grpc_tls: Key and certificate of the gRPC interface; None speaks plain text.
        rest_tls: Key and certificate of the REST interface; None speaks plain text.
        grpc_channel_arguments: Names and values that gRPC's server is made with.
        enable_health: Answer gRPC's health service.
        enable_reflection: Answer gRPC's reflection service.
        enable_profiler: Answer TensorFlow's profiler service.
        open_inference: Answer the Open Inference (v2) protocol too, over REST and gRPC.
        web_page: Show a page for people at `/`.
        latest_versions: How many of a model's highest versions are served at once where its own policy does not say,
            1 or more.
        poll_interval_seconds: Time between two looks at the folders; 0 looks once at the start, a negative number never
            looks, so that nothing is served until a configuration is loaded anew.
        listen_when_loaded: Open the ports when every model answers, and end when one cannot be loaded; False opens them
            at once and goes on without it.
        load_retries: How often a version that failed to load is tried again, 0 or more.
        load_retry_interval_seconds: Time between two such tries, 0 or more.
        load_threads: Versions loaded at the same time, 1 or more.
        unload_threads: Versions unloaded at the same time, 1 or more.
        warm_up: Replay a version's warm-up records before it becomes available.
        warm_up_iterations: How often each record is replayed, 1 or more.
        flush_filesystem_caches: Give the system's cache of a version's files back once the version is loaded.
        saved_model_tags: Tags of the graph to load, where a SavedModel holds several.
        prefer_tflite_model: Serve a version's `model.tflite` where it has one.
        tflite_interpreters: Requests that one TF Lite model answers at a time; None takes one per processor.
        runtime: What computes a model: "tensorflow", or "openvino" for what that can read of it.
        openvino_precision: "float32" or "bfloat16"; None computes in the numbers that the graph is written in.
        batching: How requests are gathered into batches; None answers each alone.
        per_model_batching: Batch only models with a `batching_params.pbtxt` of their own, by its values.
        grpc_threads: Concurrent gRPC requests, 1 or more; the others wait.
        rest_threads: Concurrent REST requests, 1 or more; the others wait.
        rest_timeout_seconds: Longest time that a REST request is worked on, above 0; then it is answered with 504.
        cors: Let pages of other origins call the REST interface.
        metrics_path: Where the REST interface shows metrics to Prometheus; None does not.
        max_rest_body_bytes: Largest REST request body; larger ones are answered with 413.
        max_connections: REST connections held open at the same time, 1 or more.
        tensor_content_answers: Write gRPC's answers as raw bytes instead of typed fields, which is shorter.
        signature_method_check: Refuse Classify and Regress on signatures that state another method.
        drain_seconds: How long a stopping server waits for the requests that are being answered, 0 or more.
        intra_op_threads: Threads within one operation; 0 leaves it to TensorFlow.
        inter_op_threads: Threads across operations; 0 leaves it to TensorFlow.
        gpu_memory_fraction: Share of a GPU's memory that this process may take, above 0 to 1; 0 leaves it to
            TensorFlow.
        mixed_precision: "bfloat16" or "float16" runs float32 models in that type where TensorFlow finds it safe.
        session_config: A serialized `tensorflow.ConfigProto` that sessions start from; None starts from defaults.
        tokens_file: File with the bearer tokens that are let in, one per line; None lets everyone in.
        requests_per_second: Requests that one client may send on the average; None does not count.
        request_burst: Requests that one client may send at once; None takes one second's.
        access_log: File with a line of JSON for each request; None writes none.
        request_log: Which requests are written down, and where; None writes none.
        drift_baseline: Folder or file that requests and answers are compared with; None does not compare.
        traces_endpoint: Where OpenTelemetry traces are sent; None sends none.

    Raises:
        SettingsError: A value is out of its range, or nothing or too much is said of what to serve.
    """

    root: Path | None = None
    model_name: str | None = None
    models: tuple[ModelConfig, ...] = ()
    model_config_file: Path | None = None
    model_config_poll_seconds: float = 0.0
    allow_version_labels_for_unavailable_models: bool = False
    host: str = "127.0.0.1"
    grpc_port: int | None = 8500
    rest_port: int | None = 8501
    grpc_socket_path: str | None = None
    grpc_tls: TlsFiles | None = None
    rest_tls: TlsFiles | None = None
    grpc_channel_arguments: tuple[tuple[str, int | str], ...] = ()
    enable_health: bool = True
    enable_reflection: bool = True
    enable_profiler: bool = True
    open_inference: bool = True
    web_page: bool = True
    latest_versions: int = 1
    poll_interval_seconds: float = 1.0
    listen_when_loaded: bool = False
    load_retries: int = 5
    load_retry_interval_seconds: float = 60.0
    load_threads: int = 2
    unload_threads: int = 1
    warm_up: bool = True
    warm_up_iterations: int = 1
    flush_filesystem_caches: bool = False
    saved_model_tags: tuple[str, ...] = ("serve",)
    prefer_tflite_model: bool = False
    tflite_interpreters: int | None = None
    runtime: str = "tensorflow"
    openvino_precision: str | None = None
    batching: BatchingParameters | None = None
    per_model_batching: bool = False
    grpc_threads: int = 16
    rest_threads: int = 16
    rest_timeout_seconds: float = 30.0
    cors: bool = False
    metrics_path: str | None = METRICS_PATH
    max_rest_body_bytes: int = 64 * MEBIBYTE
    max_connections: int = 1024
    tensor_content_answers: bool = False
    signature_method_check: bool = False
    drain_seconds: float = 30.0
    intra_op_threads: int = 0
    inter_op_threads: int = 0
    gpu_memory_fraction: float = 0.0
    mixed_precision: str | None = None
    session_config: bytes | None = None
    tokens_file: Path | None = None
    requests_per_second: float | None = None
    request_burst: int | None = None
    access_log: Path | None = None
    request_log: RequestLogSettings | None = None
    drift_baseline: Path | None = None
    traces_endpoint: str | None = None

    def __post_init__(self) -> None:
        for name in ("root", "model_config_file", "tokens_file", "access_log", "drift_baseline"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)))
        for name in ("models", "grpc_channel_arguments", "saved_model_tags"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check_models()
        self._check_addresses()
        self._check_ranges()

    def _check_models(self) -> None:
        given = [name for name in ("root", "models", "model_config_file") if getattr(self, name)]
        if len(given) > 1:
            raise SettingsError(f"Only one of `root`, `models` and `model_config_file` can be given. Received: {given}")
        if not given:
            raise SettingsError("Nothing to serve: give `root`, `models` or `model_config_file`.")
        names = [model.name for model in self.models]
        for name in names:
            if names.count(name) > 1:
                raise SettingsError(f"`models` names {name!r} more than once; each model needs a name of its own.")

    def _check_addresses(self) -> None:
        for name in ("grpc_port", "rest_port"):
            port = getattr(self, name)
            if port is not None and not 0 <= port <= 65535:
                raise SettingsError(f"`{name}` must be 0 to 65535, or None for off. Received: {port}")
        if self.grpc_port is None and self.rest_port is None and self.grpc_socket_path is None:
            raise SettingsError("`grpc_port` and `rest_port` are both None: nothing would be served. Set one of them.")
        if self.grpc_port and self.grpc_port == self.rest_port:
            raise SettingsError(f"`grpc_port` and `rest_port` are both {self.grpc_port}; they must differ.")
        if not self.host:
            raise SettingsError("`host` is empty. Use 127.0.0.1 for this machine alone, or 0.0.0.0 for all interfaces.")
        if self.metrics_path is not None and not self.metrics_path.startswith("/"):
            raise SettingsError(f"`metrics_path` must begin with `/`. Received: {self.metrics_path!r}")

    def _check_ranges(self) -> None:
        for name in (
            "latest_versions", "load_threads", "unload_threads", "warm_up_iterations", "tflite_interpreters",
            "grpc_threads", "rest_threads", "max_rest_body_bytes", "max_connections", "request_burst",
        ):
            _require(name, getattr(self, name), 1, "1 or more")
        for name in (
            "model_config_poll_seconds", "load_retries", "load_retry_interval_seconds", "drain_seconds",
            "intra_op_threads", "inter_op_threads",
        ):
            _require(name, getattr(self, name), 0, "0 or more")
        for name in ("rest_timeout_seconds", "requests_per_second"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise SettingsError(f"`{name}` must be above 0. Received: {value}")
        if not 0 <= self.gpu_memory_fraction <= 1:
            raise SettingsError(f"`gpu_memory_fraction` must be 0 to 1. Received: {self.gpu_memory_fraction}")
        if self.runtime not in ("tensorflow", "openvino"):
            raise SettingsError(f'`runtime` must be "tensorflow" or "openvino". Received: {self.runtime!r}')
        if self.openvino_precision not in (None, "float32", "bfloat16"):
            raise SettingsError(
                f'`openvino_precision` must be "float32" or "bfloat16". Received: {self.openvino_precision!r}'
            )
        if self.mixed_precision not in (None, "bfloat16", "float16"):
            raise SettingsError(
                f'`mixed_precision` must be "bfloat16" or "float16". Received: {self.mixed_precision!r}'
            )


def _require(name: str, value: float | None, least: float, expected: str) -> None:
    if value is not None and value < least:
        raise SettingsError(f"`{name}` must be {expected}. Received: {value}")
