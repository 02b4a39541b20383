"""What a server tells whoever started it."""

from __future__ import annotations

import json

import pytest

from serving.server.events import EventKind, ServerEvent, ignore_events, report_as_json, report_as_text

READY = ServerEvent(EventKind.READY, "127.0.0.1", 8500, None, {"digits": {"1": "AVAILABLE", "2": "END"}})


def test_an_event_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A program that waits for a server reads ports and states from one line."""
    report_as_json(READY)
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "event": "ready", "host": "127.0.0.1", "grpc_port": 8500, "rest_port": None,
        "models": {"digits": {"1": "AVAILABLE", "2": "END"}},
    }  # fmt: skip


def test_an_event_is_a_line_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Addresses are written so that they can be pasted into a client."""
    for kind in EventKind:
        report_as_text(ServerEvent(kind, "127.0.0.1", 8500, 8501))
    report_as_text(READY)
    ignore_events(READY)
    assert capsys.readouterr().out.splitlines() == [
        "Listening on grpc://127.0.0.1:8500 and http://127.0.0.1:8501/v1/models/",
        "Ready: no model yet; they are served as they appear",
        "Stopping: answering what is under way",
        "Stopped",
        "Ready: digits 1 AVAILABLE; digits 2 END",
    ]
