"""A node is looked over before it is given trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tuning.errors import EngineError
from tuning.executors import ray_trainable
from tuning.executors.ray_trainable import check_node, versions


@pytest.fixture
def facts(tmp_path: Path) -> dict[str, Any]:
    """What a search on this machine tells its nodes."""
    probe = tmp_path / ".probe"
    probe.touch()
    return {"folder": str(tmp_path), "probe": str(probe), "versions": versions()}


def test_this_node_will_do(facts: dict[str, Any]) -> None:
    """The machine that the search runs on has its folder and its versions."""
    check_node(facts)
    assert facts["versions"]["keras"]
    assert facts["versions"]["tensorflow"]


def test_all_that_is_wrong_is_told_at_once(facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is not shared and libraries of other versions stand in one message, with the node's name."""
    monkeypatch.setattr(ray_trainable, "_PROBE_SECONDS", 0.0)
    Path(facts["probe"]).unlink()
    facts["versions"] = {**facts["versions"], "keras": "2.0.0"}
    with pytest.raises(EngineError) as raised:
        check_node(facts)
    words = str(raised.value)
    assert "is not shared with it (it must be the same folder on every node)" in words
    assert f"it has keras {versions()['keras']} where the search has 2.0.0" in words
