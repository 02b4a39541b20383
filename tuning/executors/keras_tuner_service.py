"""The chief's port: KerasTuner's own Oracle service, and a second one for workers of this package.

gRPC answers in threads of its own; the study wants one. So every call is handed to the chief's thread and waits there.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc

from tuning.errors import EngineError
from tuning.executors.keras_tuner_environment import Address

SERVICE = "zoo.tuning.Chief"
METHODS = ("hello", "beat", "ask", "report", "tell", "remark", "bye")

_THREADS = 64
_ANSWER_S = 60.0
_IDLE_S = 1.0  # KerasTuner's workers ask again at once when there is nothing to do; their answer waits for so long


class Refused(Exception):
    """A call that the chief does not answer."""


@dataclass
class Call:
    """Something that the chief's thread does for a waiting worker."""

    work: Callable[[], Any]
    done: threading.Event = field(default_factory=threading.Event)
    answer: Any = None
    error: BaseException | None = None

    def run(self) -> None:
        """Does it, and lets the worker go on."""
        try:
            self.answer = self.work()
        except BaseException as error:
            self.error = error
            if not isinstance(error, Refused):
                raise
        finally:
            self.done.set()


class Calls:
    """The calls that wait for the chief's thread."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Call] = queue.Queue()
        self._closed = False

    def ask(self, work: Callable[[], Any]) -> Any:
        """Hands work to the chief's thread and waits for what comes of it; for the threads of gRPC.

        Args:
            work: What is to be done.

        Raises:
            Refused: The chief does not answer, or answers no more.
        """
        call = Call(work)
        if self._closed:
            raise Refused("The chief has ended.")
        self._queue.put(call)
        if not call.done.wait(_ANSWER_S):
            raise Refused("The chief does not answer.")
        if call.error is not None:
            raise Refused(str(call.error))
        return call.answer

    def serve(self, seconds: float) -> None:
        """Does what waits, and what comes within a time; for the chief's thread.

        Args:
            seconds: How long to wait for the first call.
        """
        try:
            self._queue.get(timeout=seconds).run()
            while True:
                self._queue.get_nowait().run()
        except queue.Empty:
            return

    def close(self) -> None:
        """Refuses what comes from now on, and what still waits."""
        self._closed = True
        while True:
            try:
                call = self._queue.get_nowait()
            except queue.Empty:
                return
            call.error = Refused("The chief has ended.")
            call.done.set()


class JsonHandler(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers workers of this package: JSON in, JSON out.

    Args:
        calls: Where calls wait for the chief's thread.
        token: What a worker has to show, but for `hello`.
        answers: By method, from a request to its answer; run in the chief's thread.
    """

    def __init__(self, calls: Calls, token: str, answers: Mapping[str, Callable[[dict[str, Any]], Any]]) -> None:
        self._calls = calls
        self._token = token
        self._answers = answers

    def service(self, details: Any) -> Any:
        """Returns what answers a method, or None for one of another service."""
        prefix, _, name = str(details.method).rpartition("/")
        if prefix != f"/{SERVICE}" or name not in self._answers:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self._answer(name, request, context))

    def _answer(self, name: str, data: bytes, context: Any) -> bytes:
        try:
            request = json.loads(data)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "A request is a JSON object.")
        if name != "hello" and request.get("token") != self._token:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "The token is not that of the search's folder.")
        try:
            answer = self._calls.ask(lambda: self._answers[name](request))
        except Refused as refused:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(refused))
        return json.dumps(answer).encode()


def start_server(address: Address, handlers: list[Any], register: Callable[[Any], None]) -> tuple[Any, Address]:
    """Starts the chief's server.

    Args:
        address: Where it listens; port 0 takes a free one.
        handlers: Generic handlers.
        register: Adds KerasTuner's service to the server.

    Returns:
        The `grpc.Server`, and the address with its port.

    Raises:
        EngineError: It cannot listen there.
    """
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="chief"),
                         options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(tuple(handlers))
    register(server)
    try:
        port = server.add_insecure_port(str(address))
    except RuntimeError as error:
        raise EngineError(f"The chief cannot listen at {address}: the port is taken, or the address is not this "
                          "machine's. Give another one.") from error
    server.start()
    return server, Address(address.host, port)


def idle(context: Any) -> None:
    """Keeps a worker that has nothing to do from asking again at once.

    Args:
        context: Its call's.
    """
    end = time.monotonic() + _IDLE_S
    while context.is_active() and time.monotonic() < end:
        time.sleep(0.05)
