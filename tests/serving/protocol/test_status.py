"""Canonical codes and HTTP statuses."""

from __future__ import annotations

import grpc

from serving.errors import StatusCode, error_of_code
from serving.protocol.status import code_of_http_status, http_status_of


def test_the_codes_are_grpcs() -> None:
    """Our codes have gRPC's names and numbers."""
    assert {code.name: code.value for code in StatusCode} == {code.name: code.value[0] for code in grpc.StatusCode}


def test_a_code_and_its_http_status_stand_for_the_same_error() -> None:
    """What a client catches does not depend on the transport: code and HTTP status lead to the same class."""
    for code in StatusCode:
        if code is StatusCode.OK:
            assert http_status_of(code) == 200
            continue
        over_http = error_of_code(code_of_http_status(http_status_of(code)), "words")
        assert type(over_http) is type(error_of_code(code, "words"))


def test_tensorflow_servings_statuses() -> None:
    """The statuses are those of the original's http_server.cc."""
    expected = {
        "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400, "NOT_FOUND": 404,
        "DEADLINE_EXCEEDED": 504, "RESOURCE_EXHAUSTED": 429, "UNIMPLEMENTED": 501, "UNAVAILABLE": 503,
        "ALREADY_EXISTS": 409, "ABORTED": 409, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "CANCELLED": 499,
        "INTERNAL": 500, "UNKNOWN": 500, "DATA_LOSS": 500,
    }  # fmt: skip
    assert {name: http_status_of(StatusCode[name]) for name in expected} == expected
    assert code_of_http_status(418) is StatusCode.UNKNOWN
