"""Versions timed in turns."""

from __future__ import annotations

from pathlib import Path

import pytest

import serving.export.candidates.race as racing
from serving.export import export_model
from serving.export.candidates.race import Timing, race
from tests.serving.export.small_models import tensor_classifier


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("versions")
    model = tensor_classifier()
    found = {name: export_model(model, root, name=name, validate=False).path for name in ("one", "broken")}
    (found["broken"] / "saved_model.pb").write_bytes(b"no graph")
    return found


@pytest.mark.parametrize("short", [False, True], ids=["waiting", "one at a time"])
def test_each_round_times_each_version(short: bool, versions: dict[str, Path], tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """Every round has a median for each size of call; a version that cannot be loaded is told, and stops nothing.

    Where the memory is short, each turn has a process of its own, and the figures are the same kind.
    """
    if short:
        memory = tmp_path / "meminfo"
        memory.write_text("MemTotal: 8000000 kB\nMemAvailable: 100000 kB\n")
        monkeypatch.setattr(racing, "_MEMORY_FILE", memory)
    told: list[str] = []
    rounds = 1 if short else 3
    chosen = {"one": versions["one"]} if short else versions
    found = race(chosen, (1, 5), rounds, 0.0, told.append)
    timing = found["one"]
    assert isinstance(timing, Timing)
    assert {rows: len(values) for rows, values in timing.rounds.items()} == {1: rounds, 5: rounds}
    assert 0 < timing.median(5) <= timing.p99(5)
    assert timing.memory_mb > 0
    assert short or "holds no SavedModel" in str(found["broken"])
    assert ("memory is short" in " ".join(told)) is short
    assert f"round {rounds} of {rounds}" in told


def test_a_system_that_does_not_say_how_much_memory_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """There it counts as enough."""
    monkeypatch.setattr(racing, "_MEMORY_FILE", Path("/nowhere"))
    assert racing._available_bytes() == float("inf")
