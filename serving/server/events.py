"""What a server tells whoever started it."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


class EventKind(enum.Enum):
    """The moments in a server's life, in their order."""

    LISTENING = "listening"  # the ports are bound; models may still be loading
    READY = "ready"  # every version found at the start is available or has failed
    STOPPING = "stopping"  # no new requests; those under way are being answered
    STOPPED = "stopped"


@dataclass(frozen=True)
class ServerEvent:
    """One moment in a server's life.

    Args:
        kind: Which one.
        host: The address listened on.
        grpc_port: The gRPC port, None where it is off.
        rest_port: The REST port, None where it is off.
        models: State by version by model name, such as {"digits": {"1": "AVAILABLE"}}; filled when READY.
    """

    kind: EventKind
    host: str
    grpc_port: int | None
    rest_port: int | None
    models: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


Reporter = Callable[[ServerEvent], None]


def report_as_json(event: ServerEvent) -> None:
    """Print an event as one line of JSON on standard output, for a program that waits for it.

    For example: {"event": "ready", "host": "127.0.0.1", "grpc_port": 8500, "rest_port": 8501, "models": {...}}
    """
    content = {
        "event": event.kind.value,
        "host": event.host,
        "grpc_port": event.grpc_port,
        "rest_port": event.rest_port,
        "models": event.models,
    }
    print(json.dumps(content), flush=True)


def report_as_text(event: ServerEvent) -> None:
    """Print an event as a line for people on standard output."""
    print(_text_of(event), flush=True)


def _text_of(event: ServerEvent) -> str:
    if event.kind is EventKind.LISTENING:
        addresses = []
        if event.grpc_port is not None:
            addresses.append(f"grpc://{event.host}:{event.grpc_port}")
        if event.rest_port is not None:
            addresses.append(f"http://{event.host}:{event.rest_port}/v1/models/")
        return f"Listening on {' and '.join(addresses)}"
    if event.kind is EventKind.READY:
        states = [
            f"{model} {version} {state}"
            for model, versions in event.models.items()
            for version, state in versions.items()
        ]
        return f"Ready: {'; '.join(states) or 'no model yet; they are served as they appear'}"
    return "Stopping: answering what is under way" if event.kind is EventKind.STOPPING else "Stopped"


def ignore_events(event: ServerEvent) -> None:
    """Tell nobody."""
    del event


