"""The way to a server over REST."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
from google.protobuf.json_format import ParseDict, ParseError

from serving.client.transport import Arrays, Classification, ModelMetadata, Target, VersionStatus
from serving.errors import (
    DeadlineExceededError,
    InternalServerError,
    InvalidRequestError,
    ServerUnavailableError,
    StatusCode,
    error_of_code,
)
from serving.protocol.examples import ExampleValues
from serving.protocol.generated.serving_pb2 import GetModelStatusResponse, ModelVersionStatus, SignatureDefMap
from serving.protocol.json_codec import answer_value, examples_body, outputs_of_answer, predict_body
from serving.protocol.services import METADATA_FIELD
from serving.protocol.signatures import Signature, signatures_from_map
from serving.protocol.status import code_of_http_status

_SHOWN_CHARACTERS = 300


class RestTransport:
    """Calls /v1/models on one pool of connections.

    Args:
        base_url: "http://host:port" or "https://host:port", without a path.
        root_certificates: PEM text of the certificate authorities to trust with TLS; None trusts the usual ones.
    """

    needs_every_input = True

    def __init__(self, base_url: str, *, root_certificates: bytes | None = None) -> None:
        verify: ssl.SSLContext | bool = True
        if root_certificates is not None:
            verify = ssl.create_default_context(cadata=root_certificates.decode("ascii"))
        self._http = httpx.Client(base_url=base_url, verify=verify)

    def predict(
        self,
        target: Target,
        signature_name: str,
        signature: Signature,
        inputs: Mapping[str, np.ndarray[Any, Any]],
        output_filter: Sequence[str],
        timeout_seconds: float,
    ) -> Arrays:
        """The signature's outputs for these inputs."""
        # The REST interface has no output filter, so all come and the others are dropped here.
        _check_filter(signature, output_filter)
        body = predict_body(inputs, signature.inputs, signature_name)
        answer = self._post(target, "predict", body, timeout_seconds)
        outputs = outputs_of_answer(answer, signature.outputs)
        return {name: outputs[name] for name in sorted(output_filter or outputs)}

    def classify(
        self, target: Target, signature_name: str, examples: Sequence[ExampleValues], timeout_seconds: float
    ) -> list[Classification]:
        """The classes of each example."""
        answer = self._post(target, "classify", examples_body(examples, signature_name), timeout_seconds)
        try:
            return [[(str(label), _float32(score)) for label, score in row] for row in answer_value(answer, "results")]
        except (TypeError, ValueError) as error:
            raise _unreadable("results", answer) from error

    def regress(
        self, target: Target, signature_name: str, examples: Sequence[ExampleValues], timeout_seconds: float
    ) -> list[float]:
        """The value of each example."""
        answer = self._post(target, "regress", examples_body(examples, signature_name), timeout_seconds)
        try:
            return [_float32(value) for value in answer_value(answer, "results")]
        except (TypeError, ValueError) as error:
            raise _unreadable("results", answer) from error

    def status(self, target: Target, timeout_seconds: float) -> list[VersionStatus]:
        """The state of every version."""
        answer = self._call("GET", _path(target), None, timeout_seconds)
        message = GetModelStatusResponse()
        _parse({"model_version_status": answer_value(answer, "model_version_status")}, message)
        return [
            VersionStatus(
                version=one.version,
                state=ModelVersionStatus.State.Name(one.state),
                code=StatusCode(one.status.error_code),
                message=one.status.error_message,
            )
            for one in message.model_version_status
        ]

    def metadata(self, target: Target, timeout_seconds: float) -> ModelMetadata:
        """The signatures of one version."""
        answer = self._call("GET", f"{_path(target)}/metadata", None, timeout_seconds)
        spec, metadata = answer_value(answer, "model_spec"), answer_value(answer, "metadata")
        message = SignatureDefMap()
        try:
            _parse(metadata[METADATA_FIELD], message)
            return ModelMetadata(spec["name"], int(spec["version"]), signatures_from_map(message))
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable("metadata", answer) from error

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def _post(self, target: Target, method: str, body: bytes, timeout_seconds: float) -> bytes:
        return self._call("POST", f"{_path(target)}:{method}", body, timeout_seconds)

    def _call(self, method: str, path: str, body: bytes | None, timeout_seconds: float) -> bytes:
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            response = self._http.request(method, path, content=body, headers=headers, timeout=timeout_seconds)
        except httpx.TimeoutException as error:
            raise DeadlineExceededError(
                f"No answer from {self._http.base_url} within {timeout_seconds} seconds ({type(error).__name__})."
            ) from error
        except httpx.TransportError as error:
            raise ServerUnavailableError(
                f"No server answers at {self._http.base_url}: {error}. Is it running, and is this its REST port?"
            ) from error
        if not response.is_success:
            raise error_of_code(code_of_http_status(response.status_code), _words_of(response))
        return response.content


def _path(target: Target) -> str:
    path = f"/v1/models/{quote(target.model, safe='')}"
    if target.version is not None:
        return f"{path}/versions/{target.version}"
    return f"{path}/labels/{quote(target.label, safe='')}" if target.label else path


def _words_of(response: httpx.Response) -> str:
    try:
        words = response.json()["error"]
    except (ValueError, KeyError, TypeError):  # a proxy in between, or a server of another kind
        words = response.text[:_SHOWN_CHARACTERS]
    return str(words) or f"HTTP status {response.status_code}"


def _unreadable(what: str, answer: bytes) -> InternalServerError:
    return InternalServerError(f"The server's {what} cannot be read: {answer[:_SHOWN_CHARACTERS]!r}")


def _check_filter(signature: Signature, output_filter: Sequence[str]) -> None:
    for name in output_filter:
        if name not in signature.outputs:
            raise InvalidRequestError(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                f"{{{','.join(sorted(signature.outputs))}}}."
            )


def _parse(content: Any, message: Any) -> None:
    try:
        ParseDict(content, message, ignore_unknown_fields=True)
    except ParseError as error:
        raise InternalServerError(f"The server's answer cannot be read: {error}") from error


def _float32(value: float) -> float:
    # The same number that gRPC brings: scores are float32 on the wire there.
    return float(np.float32(value))
