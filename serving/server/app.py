"""A whole server: folder, manager, core and both interfaces, started and stopped together."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from serving.server.access_log import AccessLog
from serving.server.admission import Admission
from serving.server.batching import batching_of
from serving.server.core import ServingCore
from serving.server.drift.route import DriftRoute
from serving.server.events import EventKind, Reporter, ServerEvent, ignore_events
from serving.server.first_load import wait_for_first_load
from serving.server.grpc_server import GrpcServer
from serving.server.lifecycle import config_watch_of, load_version, manager_of
from serving.server.metrics import ServerMetrics
from serving.server.observability import Observability
from serving.server.openvino_servable import check_openvino
from serving.server.rest_server import RestServer
from serving.server.servable import Servable
from serving.server.settings import ServerSettings
from serving.server.warmup import warm_up
from serving.server.web.route import PageSettings, WebPage

_log = logging.getLogger(__name__)


class ModelServer:
    """A server that can be started and stopped once.

    Args:
        settings: What to serve and how.

    Raises:
        RepositoryError: The model folder does not exist.
        SettingsError: The runtime that the settings ask for is not installed.
    """

    def __init__(self, settings: ServerSettings) -> None:
        if settings.runtime == "openvino":
            check_openvino()
        self.settings = settings
        self.grpc_port: int | None = None
        self.rest_port: int | None = None
        self._metrics = ServerMetrics()
        self._batching = batching_of(settings)
        if self._batching:
            self._metrics.register(self._batching.metrics)
        self._manager = manager_of(settings, self._load)
        self._config_watch = config_watch_of(settings, self._manager)
        self._admission = Admission(settings.tokens_file, settings.requests_per_second, settings.request_burst)
        self._observability = Observability(settings, self._metrics, self._manager.configs)
        self._core = ServingCore(
            self._manager,
            self._metrics,
            self._observability.observers,
            check_method=settings.signature_method_check,
        )
        self._grpc_server: GrpcServer | None = None
        self._rest_server: RestServer | None = None
        self._access_log: AccessLog | None = None

    def start(self, asked_to_stop: threading.Event | None = None) -> None:
        """Bind the ports, begin to answer, and begin to load what is in the folder; or load first, then bind.

        Args:
            asked_to_stop: Ends the wait for the models, where the settings ask for one; no port is bound then.

        Raises:
            PortInUseError: A port is held by another program; nothing is left running then.
            WireError: The settings ask for loaded models before a port is bound, and one cannot be loaded.
            OSError: The model folder cannot be read.
        """
        try:
            if self.settings.listen_when_loaded:
                self._manager.start()
                if not wait_for_first_load(self._manager, asked_to_stop or threading.Event()):
                    return
                self._listen()
            else:
                self._listen()
                self._manager.start()
            if self._config_watch:
                self._config_watch.start()
        except BaseException:
            self.stop()
            raise

    def wait_until_settled(self, timeout_seconds: float | None = None) -> bool:
        """Wait until every version found so far is available or has failed; False after the time is over."""
        return self._manager.wait_until_settled(timeout_seconds)

    def stop(self) -> None:
        """Take no new requests, answer those under way for at most `drain_seconds`, unload everything."""
        if self._config_watch:
            self._config_watch.stop()
        if self._batching:
            self._batching.stop_waiting()
        grpc_stopped = self._grpc_server.stop(self.settings.drain_seconds) if self._grpc_server else None
        if self._rest_server:
            self._rest_server.stop()
        if grpc_stopped:
            grpc_stopped.wait()
        if self._access_log:
            self._access_log.close()
        self._observability.close()
        self._manager.stop()
        if self._batching:
            self._batching.close()

    def event(self, kind: EventKind) -> ServerEvent:
        """What to report at this moment."""
        models = {
            model: {str(one.version): one.state.name for one in self._manager.status(model)}
            for model in self._manager.models()
        }
        host = self.settings.host
        return ServerEvent(kind, host, self.grpc_port, self.rest_port, models if kind is EventKind.READY else {})

    def _listen(self) -> None:
        settings = self.settings
        if settings.access_log is not None:
            self._access_log = AccessLog(settings.access_log)
        if settings.grpc_port is not None or settings.grpc_socket_path is not None:
            self._grpc_server = GrpcServer(
                self._core, self._manager, self._metrics, settings, self._admission, self._access_log
            )
            self.grpc_port = self._grpc_server.port
        if settings.rest_port is not None:
            self._rest_server = RestServer(
                self._core,
                self._manager,
                self._metrics,
                settings,
                self._admission,
                access_log=self._access_log,
                routes=[DriftRoute(self._observability.drift)],
                page=self._web_page() if settings.web_page else None,
            )
            self.rest_port = self._rest_server.port

    def _web_page(self) -> WebPage:
        settings = self.settings
        page = PageSettings(
            with_token=settings.tokens_file is not None,
            grpc_port=self.grpc_port,
            metrics_path=settings.metrics_path,
            grpc_tls=settings.grpc_tls is not None,
        )
        return WebPage(self._manager, self._metrics, page, self._observability.drift)

    def _load(self, model: str, version: int, folder: Path) -> Servable:
        servable = load_version(self.settings, model, version, folder)
        if self.settings.warm_up:
            self._warm_up(servable, folder)
        return self._batching.wrap(servable, folder) if self._batching else servable

    def _warm_up(self, servable: Servable, folder: Path) -> None:
        began = time.perf_counter()
        status = "OK"
        try:
            warm_up(servable, folder, self.settings.warm_up_iterations)
        except BaseException:
            status = "FAILED"
            servable.close()
            raise
        finally:
            self._metrics.warmed_up(str(folder), status, time.perf_counter() - began)


@contextlib.contextmanager
def running_server(settings: ServerSettings, *, settle_seconds: float = 60.0) -> Iterator[ModelServer]:
    """Serve for as long as the context lasts, in threads of this process.

    Args:
        settings: What to serve and how; ports of 0 take free ones.
        settle_seconds: How long to wait for the versions in the folder to be loaded, before the context begins.

    Yields:
        The running server with its `grpc_port` and `rest_port`.

    Raises:
        RepositoryError: The model folder does not exist.
        PortInUseError: A port is held by another program.
    """
    server = ModelServer(settings)
    server.start()
    try:
        server.wait_until_settled(settle_seconds)
        yield server
    finally:
        server.stop()


def run(settings: ServerSettings, report: Reporter = ignore_events) -> int:
    """Serve until SIGTERM or SIGINT, from the main thread of a process that does nothing else.

    Args:
        settings: What to serve and how.
        report: Told when the ports are bound, when the models are loaded, and when the end begins and comes.

    Returns:
        The process's exit status, 0 after requests under way were answered.

    Raises:
        RepositoryError: The model folder does not exist.
        PortInUseError: A port is held by another program.
        WireError: The settings ask for loaded models before a port is bound, and one cannot be loaded.
    """
    asked_to_stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: asked_to_stop.set()) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        server = ModelServer(settings)
        server.start(asked_to_stop)
        if not asked_to_stop.is_set():
            report(server.event(EventKind.LISTENING))
        ready = threading.Thread(target=_report_ready, args=(server, asked_to_stop, report), daemon=True)
        ready.start()
        asked_to_stop.wait()
        report(server.event(EventKind.STOPPING))
        server.stop()
        report(server.event(EventKind.STOPPED))
        return 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report_ready(server: ModelServer, asked_to_stop: threading.Event, report: Reporter) -> None:
    if server.wait_until_settled() and not asked_to_stop.is_set():
        report(server.event(EventKind.READY))
