"""Candidates that are trained from a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.export.candidates.retraining import retrained
from tests.conftest import Workplace
from zoo.bundle import load
from zoo.errors import ArgumentError
from zoo.spec import record_of


def test_candidates_are_runs_for_the_same_question(workplace: Workplace, tmp_path: Path) -> None:
    """The pruned one is smaller, the distilled one smaller still, the one for int8 as large; labels are kept."""
    told: list[str] = []
    run = workplace.run("pictures")
    found = retrained(run, tmp_path, 1, told.append)
    assert [path.name for path in found] == ["pruned", "distilled", "eight_bits"], told
    models = [load(path) for path in (run, *found)]
    records = [record_of(model) for model in models]
    assert len({(record.task, record.labels) for record in records}) == 1
    whole, pruned, distilled, eight_bits = (model.count_params() for model in models)
    assert whole == eight_bits
    assert distilled < pruned < whole
    assert told == ["training pruned", "training distilled", "training eight_bits"]


def test_what_cannot_be_made_is_told(workplace: Workplace, tmp_path: Path) -> None:
    """A line has nothing that could be removed; the reason is told and the rest goes on."""
    told: list[str] = []
    found = retrained(workplace.run("line"), tmp_path, 1, told.append)
    assert not {"pruned", "distilled"} & {path.name for path in found}
    assert any(line.startswith("no candidate pruned: nothing in the model can be removed") for line in told)


def test_epochs_are_checked_first(workplace: Workplace, tmp_path: Path) -> None:
    """Nothing is trained for a number that is none."""
    with pytest.raises(ArgumentError, match="epochs"):
        retrained(workplace.run("line"), tmp_path / "new", 0)
    assert not (tmp_path / "new").exists()
