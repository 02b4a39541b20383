"""What a promoted trial takes over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tuning.programs.in_memory import task
from tuning.folder import SearchFolder
from tuning.programs.continuation import Taken, link_or_copy, take_up


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    """A search whose trial 0000 rests after two epochs, begun with the seed 5."""
    run = SearchFolder.at(tmp_path).execution("0000")
    (run / "checkpoints").mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"config": {"seed": 5}}))
    (run / "checkpoints" / "report.json").write_text(json.dumps({"history": [{}, {}]}))
    for name in ("checkpoint.safetensors", "best-00001.safetensors", ".lock"):
        (run / "checkpoints" / name).write_text(name)
    return SearchFolder.at(tmp_path)


def test_checkpoints_and_seed_go_along(folder: SearchFolder) -> None:
    """The child gets the parent's files under its own name, a lock of its own, and nothing that is saved for people."""
    order = task("0001", parent="0000", seed=9)
    assert take_up(folder, order, 0) == Taken(epochs=2, seed=5)
    checkpoints = folder.execution("0001") / "checkpoints"
    assert sorted(path.name for path in checkpoints.iterdir()) == [".lock", "best-00001.safetensors",
                                                                   "checkpoint.safetensors"]
    assert not checkpoints.joinpath(".lock").samefile(folder.execution("0000") / "checkpoints" / ".lock")
    assert [path.name for path in folder.execution("0001").iterdir()] == ["checkpoints"]


def test_what_the_child_has_trained_is_kept(folder: SearchFolder) -> None:
    """A second attempt goes on with the child's own epochs; half a copy of an attempt that died is made anew."""
    order = task("0001", parent="0000")
    half = folder.trial("0001") / ".execution0.partial" / "checkpoints"
    half.mkdir(parents=True)
    (half / "checkpoint.safetensors").write_text("half")
    take_up(folder, order, 0)
    own = folder.execution("0001") / "checkpoints" / "checkpoint.safetensors"
    assert own.read_text() == "checkpoint.safetensors"
    own.unlink()
    own.write_text("own")
    assert take_up(folder, order, 0) == Taken(epochs=2, seed=5)
    assert own.read_text() == "own"
    assert (folder.execution("0000") / "checkpoints" / "checkpoint.safetensors").read_text() != "own"


@pytest.mark.parametrize("lost", ["run.json", "checkpoints/report.json"])
def test_without_a_parent_it_begins_afresh(lost: str, folder: SearchFolder) -> None:
    """No parent, a parent whose folder is gone or damaged, and an execution that it never ran."""
    assert take_up(folder, task("0001", seed=7), 1) == Taken(epochs=0, seed=8)
    assert take_up(folder, task("0001", seed=7, parent="0099"), 0) == Taken(epochs=0, seed=7)
    assert take_up(folder, task("0001", seed=7, parent="0000"), 1) == Taken(epochs=0, seed=8)
    (folder.execution("0000") / lost).write_text("{")
    assert take_up(folder, task("0001", seed=7, parent="0000"), 0) == Taken(epochs=0, seed=7)
    assert not folder.trial("0001").exists()


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the file is copied."""

    def refuse(source: Path, target: Path) -> None:
        raise PermissionError("no links here")

    (tmp_path / "a").write_text("content")
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").samefile(tmp_path / "b")
    monkeypatch.setattr("os.link", refuse)
    link_or_copy(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c").read_text() == "content" and not (tmp_path / "a").samefile(tmp_path / "c")
