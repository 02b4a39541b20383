from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoo.errors import ArgumentError
from zoo.evaluation.report_folder import REPORT_KIND, written_folder


def _write_report(target: Path, word: str) -> None:
    with written_folder(target) as folder:
        (folder / "report.md").write_text(word)
        (folder / "report.json").write_text(json.dumps({"kind": REPORT_KIND, "files": ["report.md", "report.json"]}))


def test_a_folder_appears_with_its_parents(tmp_path: Path) -> None:
    """Missing parents are made and nothing is left beside the folder."""
    _write_report(tmp_path / "a" / "b", "hello")
    assert (tmp_path / "a" / "b" / "report.md").read_text() == "hello"
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["b"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    """A folder that the user made for the report is fine."""
    (tmp_path / "out").mkdir()
    _write_report(tmp_path / "out", "hello")
    assert (tmp_path / "out" / "report.md").read_text() == "hello"


def test_an_earlier_report_is_replaced(tmp_path: Path) -> None:
    """Evaluating again writes over the last report and leaves no trace of it."""
    _write_report(tmp_path / "out", "first")
    _write_report(tmp_path / "out", "second")
    assert (tmp_path / "out" / "report.md").read_text() == "second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_the_earlier_report(tmp_path: Path) -> None:
    """Half a report never replaces a whole one."""
    _write_report(tmp_path / "out", "first")
    with pytest.raises(OSError, match="no space"), written_folder(tmp_path / "out") as folder:
        (folder / "report.md").write_text("half")
        raise OSError("no space")
    assert (tmp_path / "out" / "report.md").read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_nothing_where_nothing_was(tmp_path: Path) -> None:
    """No folder, no staging folder."""
    with pytest.raises(RuntimeError), written_folder(tmp_path / "out"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_foreign_folders_are_not_touched(tmp_path: Path) -> None:
    """A folder with the user's own files is refused by name."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_text("meow")
    with pytest.raises(ArgumentError, match=r"holds 'cat.png' that no report wrote"):
        _write_report(tmp_path / "photos", "x")
    assert (tmp_path / "photos" / "cat.png").read_text() == "meow"


def test_a_users_note_beside_an_earlier_report_is_kept(tmp_path: Path) -> None:
    """Replacing the folder would delete the note, so it is refused."""
    _write_report(tmp_path / "out", "first")
    (tmp_path / "out" / "my notes.txt").write_text("mine")
    (tmp_path / "out" / "more.txt").write_text("mine")
    with pytest.raises(ArgumentError, match=r"holds 'more.txt' and 1 more entries"):
        _write_report(tmp_path / "out", "second")
    assert (tmp_path / "out" / "report.md").read_text() == "first"


@pytest.mark.parametrize("content", ["[]", "{}", "no json", '{"kind": "zoo.evaluation"}',
                                     '{"kind": "other", "files": ["report.json"]}'])
def test_another_report_json_is_foreign(tmp_path: Path, content: str) -> None:
    """The file's name alone does not make it ours."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text(content)
    with pytest.raises(ArgumentError, match=r"report\.json"):
        _write_report(tmp_path / "out", "x")
    assert (tmp_path / "out" / "report.json").read_text() == content


def test_files_and_links_are_refused(tmp_path: Path) -> None:
    """A report is a folder; a link's target is not ours to replace."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link", "dangling"):
        with pytest.raises(ArgumentError, match="is a file or a link"):
            _write_report(tmp_path / name, "x")


def test_files_that_appear_meanwhile_are_kept(tmp_path: Path) -> None:
    """What somebody puts there while the plots are drawn is not replaced either."""
    with pytest.raises(ArgumentError, match=r"late\.txt"), written_folder(tmp_path / "out"):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "late.txt").write_text("mine")
    assert (tmp_path / "out" / "late.txt").read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
