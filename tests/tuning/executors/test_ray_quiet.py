"""Locks of a node: shared by trials that compute, taken whole by one that measures."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tuning.errors import EngineError
from tuning.executors.ray_quiet import NodeQuiet


@pytest.fixture
def three(tmp_path: Path) -> Iterator[list[NodeQuiet]]:
    """Three parties of one node."""
    parties = [NodeQuiet(tmp_path / "node") for _ in range(3)]
    yield parties
    for party in parties:
        party.close()


def test_it_is_quiet_once_all_others_rest(three: list[NodeQuiet]) -> None:
    """Who measures waits for every trial that computes; until it leaves, none begins."""
    measuring, first, second = three
    assert first.compute()
    assert second.compute()
    assert not measuring.take()
    assert first.wanted()
    assert second.wanted()
    first.rest()
    assert not measuring.take()
    second.rest()
    assert measuring.take()
    assert not first.compute()
    measuring.leave()
    assert not first.wanted()
    assert first.compute()


def test_one_measures_at_a_time(three: list[NodeQuiet]) -> None:
    """A second that wants to measure gets its turn after the first."""
    first, second, _ = three
    assert first.take()
    assert not second.take()
    first.leave()
    assert second.take()


def test_the_dead_do_not_keep_others_still(tmp_path: Path) -> None:
    """What a process held is free once it is killed."""
    code = ("import sys, time; from pathlib import Path; from tuning.executors.ray_quiet import NodeQuiet\n"
            "party = NodeQuiet(Path(sys.argv[1])); print(party.take(), flush=True); time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "node")], stdout=subprocess.PIPE,
                          text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        here = NodeQuiet(tmp_path / "node")
        assert not here.compute()
        other.kill()
        other.wait()
        assert here.compute()
        here.close()


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's folder in the shared place for temporary files is named, with the remedy."""
    folder = tmp_path / "node"
    folder.mkdir()
    owner = folder.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(EngineError) as raised:
        NodeQuiet(folder)
    assert "belongs to another user" in str(raised.value)
    assert "set TMPDIR" in str(raised.value)
