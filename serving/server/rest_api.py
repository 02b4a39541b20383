"""The REST interface: decode, call the core, encode. Nothing here knows what a model is."""

from __future__ import annotations

import asyncio
import logging
import re
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from serving.errors import InternalServerError, InvalidRequestError, OverloadedError, ServableNotFoundError, WireError
from serving.protocol.json_codec import (
    classify_answer,
    error_answer,
    parse_examples_body,
    parse_predict_body,
    predict_answer,
    regress_answer,
    to_json,
)
from serving.protocol.signatures import signatures_to_map
from serving.protocol.status import http_status_of
from serving.server.core import ModelRequest, ServingCore
from serving.server.manager import VersionStatus
from serving.server.metrics import CONTENT_TYPE, METRICS_PATH, ServerMetrics

_VERSION: Final = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_INFERENCE_PATH: Final = re.compile(
    rf"/v1/models/(?P<model>[^/:]+){_VERSION}:(?P<method>predict|classify|regress)", re.IGNORECASE
)
_STATUS_PATH: Final = re.compile(rf"/v1/models(?:/(?P<model>[^/:]+))?{_VERSION}(?P<metadata>/metadata)?", re.IGNORECASE)
_LARGEST_VERSION: Final = 2**63 - 1
_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Answer:
    body: bytes
    status: int = 200
    content_type: str = "application/json"


class RestApi:
    """Answers TensorFlow Serving's REST paths from a core.

    Args:
        core: The server's behaviour.
        metrics: What the Prometheus path shows.
        workers: Threads that answer; the event loop only reads and writes.
        max_body_bytes: Largest request body, also after decompression.
    """

    def __init__(
        self, core: ServingCore, metrics: ServerMetrics, workers: ThreadPoolExecutor, max_body_bytes: int
    ) -> None:
        self._core = core
        self._metrics = metrics
        self._workers = workers
        self._max_body_bytes = max_body_bytes

    def application(self) -> Starlette:
        """The ASGI application. One route takes every path, because the original's paths are case-insensitive."""
        return Starlette(routes=[Route("/{path:path}", self._serve, methods=_METHODS)])

    async def _serve(self, request: Request) -> Response:
        try:
            body = await _read_body(request, self._max_body_bytes)
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._workers, self._answer, request.method, request.url.path, body)
        except _BodyTooLarge as error:
            answer = _Answer(error_answer(error.message), 413)
        except WireError as error:
            answer = _failure(error)
        except ClientDisconnect:
            return Response(status_code=499)
        return Response(answer.body, answer.status, media_type=answer.content_type)

    def _answer(self, method: str, path: str, body: bytes) -> _Answer:
        try:
            return self._dispatch(method, path, body)
        except WireError as error:
            return _failure(error)
        except Exception:
            _log.exception("A request to %s failed", path)
            return _failure(InternalServerError("The server failed at this request; its log has the reason."))

    def _dispatch(self, method: str, path: str, body: bytes) -> _Answer:
        if method == "GET" and path == METRICS_PATH:
            return _Answer(self._metrics.page(), content_type=CONTENT_TYPE)
        if not path.lower().startswith("/v1/"):
            raise ServableNotFoundError(f"Nothing is served at {path}. Models are at /v1/models/<name>.")
        inference = _INFERENCE_PATH.fullmatch(path) if method == "POST" else None
        if inference:
            answers: dict[str, Callable[[ModelRequest, bytes], bytes]] = {
                "predict": self._predict, "classify": self._classify, "regress": self._regress,
            }
            return _Answer(answers[inference["method"].lower()](_model_request(inference), body))
        status = _STATUS_PATH.fullmatch(path) if method == "GET" else None
        if status:
            if not status["model"]:
                raise InvalidRequestError("Missing model name in request.")
            answer = self._metadata if status["metadata"] else self._status
            return _Answer(answer(_model_request(status)))
        raise InvalidRequestError(f"Malformed request: {method} {path}")

    def _predict(self, request: ModelRequest, body: bytes) -> bytes:
        parsed = parse_predict_body(body)
        _, outputs = self._core.predict(
            _with_signature(request, parsed.signature_name), lambda signature: parsed.inputs(signature.inputs)
        )
        return predict_answer(outputs, parsed.format)

    def _classify(self, request: ModelRequest, body: bytes) -> bytes:
        parsed = parse_examples_body(body)
        return classify_answer(self._core.classify(_with_signature(request, parsed.signature_name), parsed.examples)[1])

    def _regress(self, request: ModelRequest, body: bytes) -> bytes:
        parsed = parse_examples_body(body)
        return regress_answer(self._core.regress(_with_signature(request, parsed.signature_name), parsed.examples)[1])

    def _status(self, request: ModelRequest) -> bytes:
        return to_json({"model_version_status": [_status_object(status) for status in self._core.status(request)]})

    def _metadata(self, request: ModelRequest) -> bytes:
        answered_by, signatures = self._core.signatures(request)
        content = MessageToDict(
            signatures_to_map(signatures), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        spec = {"name": answered_by.name, "signature_name": "", "version": str(answered_by.version)}
        return to_json({"model_spec": spec, "metadata": {"signature_def": content}})


class _BodyTooLarge(OverloadedError):
    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is larger than {limit} bytes. Send fewer instances, or use gRPC.")


async def _read_body(request: Request, limit: int) -> bytes:
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise InvalidRequestError(f"Content-Encoding {encoding!r} is not supported; expected gzip or none.")
    # wbits 31 = gzip; nothing is unpacked beyond the limit, whatever a small body promises.
    unpacker = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    body = bytearray()
    async for chunk in request.stream():
        body += _unpacked(unpacker, chunk, limit + 1 - len(body)) if unpacker else chunk
        if len(body) > limit:
            raise _BodyTooLarge(limit)
    if unpacker and body and not unpacker.eof:
        raise InvalidRequestError("The gzip body is cut off.")
    return bytes(body)


def _unpacked(unpacker: Any, chunk: bytes, room: int) -> bytes:
    try:
        return bytes(unpacker.decompress(chunk, room))
    except zlib.error as error:
        raise InvalidRequestError(f"The body is not gzip: {error}") from error


def _model_request(match: re.Match[str]) -> ModelRequest:
    version = int(match["version"]) if match["version"] and len(match["version"]) < 20 else None
    if match["version"] and (version is None or version > _LARGEST_VERSION):
        raise InvalidRequestError(f"Failed to convert version: {match['version']} to numeric.")
    return ModelRequest(match["model"], version, match["label"] or "", entrypoint="REST")


def _with_signature(request: ModelRequest, name: str) -> ModelRequest:
    return ModelRequest(request.name, request.version, request.label, name, request.entrypoint)


def _status_object(status: VersionStatus) -> dict[str, Any]:
    return {
        "version": str(status.version),  # JSON numbers end at 2**53
        "state": status.state.name,
        "status": {"error_code": status.code.name, "error_message": status.message},
    }


def _failure(error: WireError) -> _Answer:
    return _Answer(error_answer(error.message), http_status_of(error.code))
