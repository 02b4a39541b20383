"""How canonical status codes and HTTP status codes stand for each other."""

from __future__ import annotations

from typing import Final

from serving.errors import StatusCode

_HTTP_OF_CODE: Final[dict[StatusCode, int]] = {
    StatusCode.OK: 200,
    StatusCode.CANCELLED: 499,
    StatusCode.UNKNOWN: 500,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.DEADLINE_EXCEEDED: 504,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.ABORTED: 409,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.INTERNAL: 500,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DATA_LOSS: 500,
    StatusCode.UNAUTHENTICATED: 401,
}

# Where several codes share a status, the one that says most. What proxies in front of a server answer is here too.
_CODE_OF_HTTP: Final[dict[int, StatusCode]] = {
    400: StatusCode.INVALID_ARGUMENT,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    405: StatusCode.UNIMPLEMENTED,
    408: StatusCode.DEADLINE_EXCEEDED,
    409: StatusCode.ABORTED,
    413: StatusCode.RESOURCE_EXHAUSTED,
    415: StatusCode.INVALID_ARGUMENT,
    429: StatusCode.RESOURCE_EXHAUSTED,
    499: StatusCode.CANCELLED,
    500: StatusCode.INTERNAL,
    501: StatusCode.UNIMPLEMENTED,
    502: StatusCode.UNAVAILABLE,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
}


def http_status_of(code: StatusCode) -> int:
    """The HTTP status that TensorFlow Serving answers with for a canonical code.

    Args:
        code: A canonical code.

    Returns:
        An HTTP status, 200 to 599.
    """
    return _HTTP_OF_CODE[code]


def code_of_http_status(status: int) -> StatusCode:
    """The canonical code that an HTTP status stands for.

    Args:
        status: An HTTP status; one that no server of ours sends counts as UNKNOWN.

    Returns:
        A canonical code.
    """
    if 200 <= status < 300:
        return StatusCode.OK
    return _CODE_OF_HTTP.get(status, StatusCode.UNKNOWN)
