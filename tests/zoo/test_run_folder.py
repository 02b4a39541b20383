"""A run's folder: whose it is, what it says of its data, and what a failed start leaves."""

from __future__ import annotations

import contextlib
import fcntl
import json
from pathlib import Path

import pytest

from tests.command_line import snapshot
from zoo.data_source import DataSource, anywhere
from zoo.errors import ArgumentError, BundleError
from zoo.run_folder import CHECKPOINTS, RUN_FILE, check_folder, read_source, swept, write_run
from zoo.training.checkpoint import CHECKPOINT, LOCK, best_name

SOURCE = DataSource(path="photos", target=("y",), shape=(6, 1), seed=3)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """The data come back as they were given, with the path made absolute."""
    write_run(tmp_path, "rnn", SOURCE, {"epochs": 2}, {"used": 9})
    read = read_source(tmp_path)
    assert read == anywhere(SOURCE)
    assert Path(read.path) == Path.cwd() / "photos"
    assert json.loads((tmp_path / RUN_FILE).read_text())["config"] == {"epochs": 2}
    assert not list(tmp_path.glob(".*"))


def test_a_public_dataset_keeps_its_name() -> None:
    """`keras:` and `tfds:` are no paths."""
    assert anywhere(DataSource(path="keras:mnist")).path == "keras:mnist"


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"data": {"path": "x", "colour": 1}}', '{"data": 3}'])
def test_a_missing_or_broken_note_is_told(tmp_path: Path, text: str | None) -> None:
    """The way out is named: other examples."""
    if text is not None:
        (tmp_path / RUN_FILE).write_text(text)
    with pytest.raises(BundleError, match="--data PATH"):
        read_source(tmp_path)


def test_only_a_run_s_folder_or_an_empty_one_is_taken(tmp_path: Path) -> None:
    """New, empty, killed in its first epoch, and finished runs are taken; files and foreign folders are not."""
    new, killed, done = tmp_path / "new", tmp_path / "killed", tmp_path / "done"
    (killed / CHECKPOINTS).mkdir(parents=True)
    (killed / CHECKPOINTS / LOCK).touch()
    done.mkdir()
    write_run(done, "rnn", SOURCE, {}, {})
    (tmp_path / "empty").mkdir()
    for folder in (new, killed, done, tmp_path / "empty"):
        check_folder(folder, SOURCE)
    (tmp_path / "foreign" / CHECKPOINTS).mkdir(parents=True)
    (tmp_path / "file").touch()
    for folder in (tmp_path / "foreign", tmp_path / "file"):
        with pytest.raises(ArgumentError, match="Name a"):
            check_folder(folder, SOURCE)


def test_a_folder_among_the_data_is_refused(tmp_path: Path) -> None:
    """It would be a class the next time; a neighbour of the data is fine."""
    (tmp_path / "data").mkdir()
    source = DataSource(path=str(tmp_path / "data"))
    for folder in (tmp_path / "data", tmp_path / "data" / "deep" / "run"):
        with pytest.raises(ArgumentError, match="lies among the data"):
            check_folder(folder, source)
    check_folder(tmp_path / "data-run", source)


def fail_in(folder: Path, *files: str) -> None:
    with pytest.raises(ZeroDivisionError), swept(folder):
        (folder / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        for name in (LOCK, *files):
            (folder / CHECKPOINTS / name).touch()
        raise ZeroDivisionError


def test_a_failed_start_leaves_nothing(tmp_path: Path) -> None:
    """The folders that the run made go, parents included; those that stood there stay."""
    fail_in(tmp_path / "runs" / "deep" / "r")
    fail_in(tmp_path / "runs" / "deep" / "r", best_name(1))
    assert snapshot(tmp_path) == {}
    (tmp_path / "mine").mkdir()
    fail_in(tmp_path / "mine")
    assert set(snapshot(tmp_path)) == {"mine"}


def test_a_failure_after_an_epoch_keeps_it(tmp_path: Path) -> None:
    """What was trained is there for the same command to go on from."""
    fail_in(tmp_path / "r", CHECKPOINT, best_name(1))
    assert set(snapshot(tmp_path / "r" / CHECKPOINTS)) == {CHECKPOINT, LOCK, best_name(1)}


def test_another_process_s_folder_is_left_alone(tmp_path: Path) -> None:
    """While another process trains in the folder, a second start that fails removes nothing of it."""
    lock = tmp_path / "r" / CHECKPOINTS / LOCK
    with contextlib.ExitStack() as other:
        with pytest.raises(ZeroDivisionError), swept(tmp_path / "r"):
            lock.parent.mkdir(parents=True)  # by the other process, a moment after this one looked
            fcntl.flock(other.enter_context(lock.open("a")), fcntl.LOCK_EX)
            raise ZeroDivisionError
        assert lock.is_file()
