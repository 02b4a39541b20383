"""The examples that an export of a run is calibrated with and judged by."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Workplace
from zoo.bundle import load
from zoo.errors import DataError
from zoo.run_examples import RunExamples
from zoo.run_folder import read_source
from zoo.runs import TrainingDataWarning, open_data
from zoo.spec import record_of


@pytest.fixture(scope="module")
def points(workplace: Workplace) -> RunExamples:
    return RunExamples(workplace.run("points"), load(workplace.run("points")))


def test_the_runs_own_parts(workplace: Workplace, points: RunExamples) -> None:
    """Ranges are learned of the training part, and the validation part judges: the very ones of the training."""
    record = record_of(load(workplace.run("points")))
    data = open_data(read_source(workplace.run("points")), record, record.preprocessing, record.labels)
    learned, judged = points.to_learn_from(), points.to_judge_by()
    assert learned is not None
    assert judged is not None
    assert list(learned(record).examples()) == list(data.train.examples())
    assert data.validation is not None
    assert list(judged(record).examples()) == list(data.validation.examples())


def test_other_examples_are_all_used_and_read_alike(workplace: Workplace, points: RunExamples, tmp_path: Path) -> None:
    """Target and columns are the run's own; nothing of the file is held out."""
    other = tmp_path / "other.csv"
    lines = (workplace.folder / "points.csv").read_text().splitlines()
    other.write_text("\n".join(lines[:21]) + "\n")
    record = record_of(load(workplace.run("points")))
    for examples in (points.to_learn_from(str(other)), points.to_judge_by(str(other))):
        assert examples is not None
        assert examples(record).count == 20


def test_the_runs_own_file_warns(workplace: Workplace, points: RunExamples) -> None:
    """Whoever judges by what was trained on is told."""
    with pytest.warns(TrainingDataWarning, match="look better"):
        points.to_judge_by(str(workplace.folder / "points.csv"))


def test_another_model_reads_them_its_own_way(workplace: Workplace) -> None:
    """The same examples in the same order, prepared by the other's preprocessing."""
    run = workplace.run("points")
    examples = RunExamples(run, load(run)).to_judge_by()
    assert examples is not None
    record = record_of(load(run))
    columns = tuple(type(column)(**{**vars(column), "mean": column.mean + 1.0})
                    for column in record.preprocessing.columns)  # type: ignore[union-attr]
    other = record.replace(preprocessing=type(record.preprocessing)(columns=columns))  # type: ignore[call-arg]
    ours, theirs = examples(record), examples(other)
    assert list(ours.examples()) == list(theirs.examples())
    first, second = (next(iter(split.batches(4)))[0].numpy() for split in (ours, theirs))
    assert np.all(second < first)


def test_changed_data_are_refused(workplace: Workplace, tmp_path: Path) -> None:
    """The held-out part would be another one, so the figures would not be those of unseen examples."""
    shutil.copytree(workplace.run("points"), tmp_path / "run")
    table = tmp_path / "points.csv"
    table.write_text("".join((workplace.folder / "points.csv").read_text().splitlines(keepends=True)[:-1]))
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    content["data"]["path"] = str(table)
    (tmp_path / "run" / "run.json").write_text(json.dumps(content))
    model = load(tmp_path / "run")
    examples = RunExamples(tmp_path / "run", model).to_judge_by()
    assert examples is not None
    with pytest.raises(DataError, match="have changed"):
        examples(record_of(model))


def test_a_model_that_no_run_trained_has_none(workplace: Workplace, tmp_path: Path) -> None:
    """There is nothing to learn from or to judge by until it is named."""
    shutil.copytree(workplace.run("points"), tmp_path / "bundle")
    (tmp_path / "bundle" / "run.json").unlink()
    own = RunExamples(tmp_path / "bundle", load(tmp_path / "bundle"))
    assert own.to_learn_from() is None
    assert own.to_judge_by() is None
