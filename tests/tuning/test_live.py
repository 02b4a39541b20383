"""What people see of a running search: lines in a pipe, a table on a terminal."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import Terminal
from tests.tuning.inline_engine import InlineEngine
from tuning.config import SearchConfig
from tuning.folder import SearchFolder
from tuning.live import LiveSearch, duration, measures_of, settings_of
from tuning.run import run_search
from tuning.spaces import Dimension, SearchSpace
from tuning.study.state import read_search
from tuning.trial import Trial

SPACE = SearchSpace((Dimension(name="units", kind="int", low=1, high=64),))
CONFIG = SearchConfig(model="mlp_binary", space=SPACE.to_dict(), trials=4, epochs=2)


def loss_of(values: Any, epoch: int) -> dict[str, float]:
    if values["units"] > 60:
        raise ValueError("too many units")
    return {"val_loss": values["units"] / epoch}


def watched(folder: Path, stream: io.StringIO, engine: InlineEngine, *, quiet: bool = False) -> LiveSearch:
    with contextlib.redirect_stderr(stream):
        known = SearchFolder.at(folder)
        before = read_search(known) if known.config.exists() else None
        with LiveSearch(CONFIG, before, quiet=quiet) as live:
            run_search(CONFIG, folder, engine=engine, listener=live, judge=False)
    return live


def test_a_pipe_gets_a_line_per_ended_trial(tmp_path: Path) -> None:
    """With hyperparameters, measure, epochs, the best so far, and while there is a rest how long it takes."""
    stream = io.StringIO()
    watched(tmp_path / "s", stream, InlineEngine(loss_of))
    lines = stream.getvalue().splitlines()
    assert [line.split(";")[0] for line in lines] == [f"trial 000{number} completed" for number in range(4)]
    assert all("; units=" in line and "; val_loss " in line and "; 2 epochs" in line for line in lines)
    assert lines[0].split("; ")[4] == "best so far"
    assert all("best" in line for line in lines)
    assert all(line.endswith(" left") for line in lines[:3])
    assert not lines[3].endswith(" left")


def test_a_search_that_goes_on_knows_what_was_before(tmp_path: Path) -> None:
    """The best so far may be a trial of an earlier process."""
    watched(tmp_path / "s", io.StringIO(), InlineEngine(lambda values, epoch: {"val_loss": -1.0}, stop_after=1))
    stream = io.StringIO()
    watched(tmp_path / "s", stream, InlineEngine(loss_of))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert all("; best -1 (trial 0000)" in line for line in lines)


def test_a_terminal_gets_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials, hyperparameters, epochs, measure, the best, and how far the search is."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    live = watched(tmp_path / "s", stream, InlineEngine(loss_of))
    drawn = stream.getvalue()
    for word in ("hyperparameters", "val_loss", "units=", "best", "of 4 trials"):
        assert word in drawn
    from rich.console import Console

    text = io.StringIO()
    Console(file=text, width=100).print(live._render())
    rows = text.getvalue().splitlines()
    assert sum(row.lstrip().startswith("000") for row in rows) == 4
    assert "4 of 4 trials" in rows[-1]
    assert "best val_loss" in rows[-1]


def test_quiet_is_quiet(tmp_path: Path) -> None:
    """Nothing is written where machines read."""
    stream = io.StringIO()
    watched(tmp_path / "s", stream, InlineEngine(loss_of), quiet=True)
    assert stream.getvalue() == ""


def test_a_failed_trial_says_why() -> None:
    """Its error stands where the measure would."""
    trial = Trial(id="0003", values={"units": 61}, status="failed", error="too many units", kind="error")
    assert "failed; units=61; too many units" in LiveSearch(CONFIG).line(trial)


def test_words() -> None:
    """Times, hyperparameters without the oracle's own, and measures with their spread."""
    assert [duration(seconds) for seconds in (0.2, 59, 61, 3599, 7500)] == ["0 s", "59 s", "1 min 01 s",
                                                                            "59 min 59 s", "2 h 05 min"]
    trial = Trial(id="0", values={"units": 3, "rate": 0.00123456, "tuner/epochs": 2}, measures={"a": 1.0, "b": 2.0},
                  spread={"a": 0.25})
    assert settings_of(trial) == "units=3, rate=0.00123"
    assert measures_of(trial, ["a", "b", "c"]) == "a 1 ± 0.25, b 2"
