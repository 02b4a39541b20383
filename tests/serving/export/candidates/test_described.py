"""What is told about candidates: JSON, table, picture and model card say the same."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
from rich.console import Console

from serving.export.candidates.choosing import Outcome, choose
from serving.export.candidates.described import described, notes_on
from serving.export.candidates.plan import Selection
from serving.export.candidates.plot import plot_candidates
from serving.export.candidates.table import candidates_table, reasons
from serving.export.candidates_card import compared_exports
from tests.serving.export.candidates.outcomes import outcome

ROUNDS = [4.0, 4.2, 3.8, 4.1, 3.9, 4.0]


@pytest.fixture(scope="module")
def selection() -> dict[str, Any]:
    broken = Outcome(candidate=outcome("int4_weights", ROUNDS).candidate, reason="it cannot be exported: no room")
    outcomes = choose([outcome("none", ROUNDS, size=4_000_000), outcome("safe", [2.0] * 6, size=3_000_000),
                       outcome("int8", [1.0] * 6, accuracy=0.5, size=1_000_000), broken], Selection())
    return described(outcomes, Selection())


def test_the_json_holds_every_candidate(selection: dict[str, Any]) -> None:
    """Times, how often as fast with its interval, size, metric, agreement, and whether and why not it was chosen."""
    read = json.loads(json.dumps(selection, allow_nan=False))
    safe = read["candidates"][1]
    assert (safe["name"], safe["chosen"], safe["reason"]) == ("safe", True, "")
    assert (safe["size_mb"], safe["metric"], safe["agreement"], safe["drop"]) == (3.0, 0.9, 1.0, 0.0)
    first = safe["latency"][0]
    assert (first["batch"], first["median_ms"], first["times_as_fast"]) == (1, 2.0, 2.0)
    assert first["low"] < 2.0 < first["high"]
    assert read["candidates"][3]["reason"] == "it cannot be exported: no room"
    assert read["candidates"][3]["latency"] == []
    assert (read["metric"], read["examples"], read["rounds"]) == ("accuracy", 200, 9)


def test_the_table_shows_what_was_measured(selection: dict[str, Any]) -> None:
    """A row for each candidate that was timed; the reasons name all."""
    console = Console(file=io.StringIO(), width=120)
    console.print(candidates_table(selection))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "safe" in text
    assert "2.00x" in text
    assert "int4_weights" not in text
    told = list(reasons(selection))
    assert told[1] == "safe: chosen"
    assert told[3] == "int4_weights: it cannot be exported: no room"
    assert told[2].startswith("int8: worse: accuracy is 44.44% off")


def test_the_card_shows_the_same(selection: dict[str, Any]) -> None:
    """The published one in bold, each other one with its reason."""
    text = "\n".join(compared_exports({"asked": "auto", "selection": selection}))
    assert "| **safe** | 2 | 2 | 2.00 (1.90 to 2.10) |" in text
    assert "- int8: worse: accuracy is 44.44% off" in text
    assert "0.50% of accuracy lost on 200 validation examples" in text


def test_the_picture_is_drawn(selection: dict[str, Any], tmp_path: Path) -> None:
    """A panel per size of call and one for bytes; the same figures give the same bytes."""
    for name in ("one.png", "two.png"):
        plot_candidates(selection, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    height, width, _ = matplotlib.image.imread(tmp_path / "one.png").shape
    assert width > 3 * height


def test_nothing_to_compare() -> None:
    """No figures are made up where there was one candidate alone."""
    plain = outcome("none", ROUNDS)
    found = described([Outcome(candidate=plain.candidate, chosen=True)], Selection(), False)
    assert found["rounds"] == 0
    assert "nothing to compare" in next(compared_exports({"asked": "auto", "selection": found}))


def test_few_examples_are_told(selection: dict[str, Any]) -> None:
    """One of 200 examples is the half percent; of fewer, one alone is more than the tolerance."""
    assert notes_on(selection) == []
    line, = notes_on({**selection, "examples": 40})
    assert "no smaller loss than 2.50%" in line
    assert "200 examples" in line
