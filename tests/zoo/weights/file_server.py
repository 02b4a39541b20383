"""A real HTTP server on loopback that serves bytes with ranges, and can be told to misbehave."""

from __future__ import annotations

import hashlib
import re
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["_Handler", bytes], None]


@dataclass
class FileServer:
    """Serves `files`; the answers in `scripts` are given first, one per request to their path."""

    files: dict[str, bytes] = field(default_factory=dict)
    scripts: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    etags: bool = True
    ranges: bool = True

    def __enter__(self) -> FileServer:
        self.http = _QuietServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"files": self}))
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    @property
    def port(self) -> int:
        return self.http.server_address[1]

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def asked(self, path: str) -> list[dict[str, str]]:
        """The headers of each request to `path`, with lower-case names."""
        return [headers for asked, headers in self.requests if asked == path]


class _QuietServer(ThreadingHTTPServer):
    """Says nothing about clients that go away in the middle, which is what the tests make them do."""

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    files: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.files.requests.append((path, {name.lower(): value for name, value in self.headers.items()}))
        content = self.files.files.get(path)
        if self.files.scripts[path]:
            self.files.scripts[path].pop(0)(self, content or b"")
        elif content is None:
            status(404)(self, b"")
        else:
            whole(self, content)

    def log_message(self, *_: object) -> None:
        pass


def _tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:12]}"'


def _begin(handler: _Handler, content: bytes) -> bytes:
    """Sends the head of a full or partial answer, and returns the bytes that belong behind it."""
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", "")) if handler.files.ranges else None
    unchanged = handler.headers.get("If-Range") in (None, _tag(content))
    start = int(asked[1]) if asked and unchanged else 0
    if start >= len(content) > 0:
        status(416)(handler, b"")
        return b""
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    if handler.files.etags:
        handler.send_header("ETag", _tag(content))
    handler.send_header("Content-Length", str(len(content) - start))
    handler.end_headers()
    return content[start:]


def whole(handler: _Handler, content: bytes) -> None:
    handler.wfile.write(_begin(handler, content))


def cut_after(count: int) -> Answer:
    """Breaks the connection after `count` bytes of content."""
    def answer(handler: _Handler, content: bytes) -> None:
        handler.wfile.write(_begin(handler, content)[:count])
        handler.close_connection = True
    return answer


def stall_after(count: int, release: threading.Event) -> Answer:
    """Sends `count` bytes of content and then nothing until `release` is set."""
    def answer(handler: _Handler, content: bytes) -> None:
        handler.wfile.write(_begin(handler, content)[:count])
        handler.wfile.flush()
        release.wait(60)
        handler.close_connection = True
    return answer


def status(code: int, **headers: str) -> Answer:
    def answer(handler: _Handler, content: bytes) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
    return answer


def redirect(url: str) -> Answer:
    return status(302, Location=url)
