"""A search's folder is read from outside, also while it runs, and that needs no TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tuning.study.parts import Counting, configuration, outcomes, run_all, run_trial
from tuning.errors import StoreError
from tuning.folder import SearchFolder
from tuning.objectives import Objective
from tuning.study.state import read_search, request_stop
from tuning.study.study import Study
from tuning.trial import EpochReport, TrialOutcome


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    return SearchFolder.at(tmp_path / "search")


def test_a_running_search_is_read(folder: SearchFolder) -> None:
    """At any moment a view has what the study has, its owner and how far it is, and the files stay as they are."""
    with Study.open(folder, configuration(total_epochs=100), driver=Counting) as study:
        run_trial(study, study.ask())  # type: ignore[arg-type]
        task = study.ask()
        assert task is not None
        study.report(task.trial, EpochReport(epoch=1, values={"val_loss": 0.5}))
        study.remark("the fan is loud", task.trial)
        before = folder.journal.read_bytes()
        view = read_search(folder)
        assert folder.journal.read_bytes() == before
        assert dict(view.trials) == dict(study.trials)
        assert (view.alive, view.stopping, view.reason) == (True, False, "")
        assert view.best == study.best() and view.front == study.front()
        assert [(remark.text, remark.trial) for remark in view.remarks] == [("the fan is loud", "0001")]
        assert (view.progress.begun, view.progress.ended, view.progress.epochs, view.progress.promised) == (2, 1, 4, 2)
        assert view.tasks["0001"] == task
    view = read_search(folder)
    assert (view.alive, view.reason) == (False, "interrupted")
    assert view.trials["0001"].status == "running"


def test_a_line_that_is_being_written_is_left_alone(folder: SearchFolder) -> None:
    """Who reads while the last line is half there sees what stands before it and cuts nothing off."""
    with Study.open(folder, configuration(), driver=Counting) as study:
        run_all(study)
        expected = outcomes(study.trials)
    with folder.journal.open("ab") as file:
        file.write(b'{"crc32":"00')
    assert outcomes(read_search(folder).trials) == expected
    assert folder.journal.read_bytes().endswith(b'"00')


def test_two_objectives_are_read_alike(folder: SearchFolder) -> None:
    """A view's front is the study's."""
    config = configuration(objectives=(Objective.parse("val_accuracy"), Objective.parse("size_mb")))
    with Study.open(folder, config, driver=Counting) as study:
        for accuracy, size in ((0.9, 5.0), (0.8, 1.0), (0.7, 2.0)):
            study.tell(study.ask().trial, TrialOutcome(  # type: ignore[union-attr]
                status="completed", executions=[{"val_accuracy": accuracy, "size_mb": size}]))
        assert [trial.id for trial in read_search(folder).front] == [trial.id for trial in study.front()]
        assert len(study.front()) == 2


def test_a_search_is_asked_to_stop_from_outside(folder: SearchFolder) -> None:
    """The request reaches the process that works on the search; where none does, nothing is left behind."""
    with pytest.raises(StoreError, match="There is no search"):
        request_stop(folder)
    with Study.open(folder, configuration(), driver=Counting) as study:
        assert request_stop(folder)
        assert read_search(folder).stopping
        assert study.ask() is None and study.stopping
    assert not request_stop(folder)
    with Study.open(folder, driver=Counting) as study:
        assert study.ask() is not None


@pytest.mark.parametrize("make", [False, True])
def test_a_folder_without_a_search_is_refused(folder: SearchFolder, make: bool) -> None:
    """No folder and an empty one are named, for readers and for who would go on; nothing is made."""
    if make:
        folder.path.mkdir()
    with pytest.raises(StoreError, match=f"no search in {folder.path}"):
        read_search(folder)
    with pytest.raises(StoreError, match=f"no search in {folder.path}"):
        Study.open(folder, driver=Counting)
    assert folder.path.exists() == make and not list(folder.path.parent.glob("search/*"))


def test_reading_loads_no_tensorflow(folder: SearchFolder) -> None:
    """`zoo tune status` waits for neither KerasTuner nor TensorFlow, though the search was KerasTuner's."""
    with Study.open(folder, configuration(trials=2), driver=Counting) as study:
        run_all(study)
    code = ("import json, sys\nfrom tuning.folder import SearchFolder\nfrom tuning.study.state import read_search\n"
            "import tuning.study.study\n"
            "view = read_search(SearchFolder.at(sys.argv[1]))\n"
            "print(json.dumps([len(view.trials), [m for m in sys.modules if '.' not in m]]))")
    answer = subprocess.run([sys.executable, "-c", code, folder.path], capture_output=True, text=True, check=True)
    count, modules = json.loads(answer.stdout)
    assert count == 2
    assert not {"tensorflow", "keras", "keras_tuner", "sklearn", "scipy", "matplotlib"} & set(modules)
