from __future__ import annotations

from pathlib import Path

import pytest

from tests.zoo.data.sample_files import lines
from zoo.data.folders import read_class_folders, sorted_labels
from zoo.data.splitting import TEST, TRAIN, UNDECIDED, VALIDATION
from zoo.errors import DataError


def _write(root: Path, *names: str) -> Path:
    for name in names:
        lines(root / name, [name])
    return root


def test_files_are_listed_by_class_and_path(tmp_path: Path) -> None:
    """Files come sorted by path, deeper folders included, with the index of their class."""
    files = read_class_folders(_write(tmp_path, "dog/2.x", "cat/1.x", "dog/deep/er/0.x", "dog/1.x"))
    assert files.labels == ("cat", "dog")
    assert list(zip(files.paths, files.classes, strict=True)) == [
        ("cat/1.x", 0), ("dog/1.x", 1), ("dog/2.x", 1), ("dog/deep/er/0.x", 1)]
    assert set(files.parts) == {UNDECIDED}


def test_hidden_and_loose_files_are_excluded_by_name(tmp_path: Path) -> None:
    """What is no example for its place is on the list of exclusions, not forgotten."""
    files = read_class_folders(_write(tmp_path, "a/1", "b/2", "a/.DS_Store", ".git/config", "README", "b/.cache/x"))
    assert files.paths == ["a/1", "b/2"]
    assert [(e.source, e.reason) for e in files.excluded] == [
        (".git/", "hidden"), ("README", "not in a class folder"), ("a/.DS_Store", "hidden"), ("b/.cache/", "hidden")]


@pytest.mark.parametrize(("validation", "test"), [("validation", "test"), ("val", "testing"), ("Valid", "TEST")])
def test_a_given_split_is_recognised(tmp_path: Path, validation: str, test: str) -> None:
    """Folders called train, validation (or val) and test hold the class folders of the parts."""
    files = read_class_folders(_write(tmp_path, "train/a/1", "train/b/2", f"{validation}/a/3", f"{test}/b/4", "notes"))
    assert files.labels == ("a", "b")
    parts = dict(zip(files.paths, files.parts, strict=True))
    assert parts == {"train/a/1": TRAIN, "train/b/2": TRAIN, f"{validation}/a/3": VALIDATION, f"{test}/b/4": TEST}
    assert [e.source for e in files.excluded] == ["notes"]


def test_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    """Folders of these names that hold files are classes."""
    assert read_class_folders(_write(tmp_path, "train/1", "test/2")).labels == ("test", "train")
    assert read_class_folders(_write(tmp_path, "train/deep/1", "bus/2")).labels == ("bus", "test", "train")


def test_chosen_labels_decide_order_and_exclude_the_rest(tmp_path: Path) -> None:
    """`labels` is the order of the class index; other folders are reported."""
    files = read_class_folders(_write(tmp_path, "a/1", "b/2", "c/3"), ["c", "a"])
    assert (files.labels, files.classes) == (("c", "a"), [1, 0])
    assert [(e.source, e.reason) for e in files.excluded] == [("b/", "not a class")]


def test_whole_numbers_are_sorted_by_value() -> None:
    """Class folders 0 to 10 are in the order of the numbers, other names in that of the alphabet."""
    assert sorted_labels({"10", "2", "-1", "0"}) == ("-1", "0", "2", "10")
    assert sorted_labels({"10", "2", "x"}) == ("10", "2", "x")


def test_links_are_followed_but_never_round_in_circles(tmp_path: Path) -> None:
    """A linked class folder counts; a link to a folder above itself ends the walk there."""
    _write(tmp_path / "elsewhere", "1")
    _write(tmp_path / "data", "b/2")
    (tmp_path / "data" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "b" / "loop").symlink_to(tmp_path / "data" / "b")
    assert read_class_folders(tmp_path / "data").paths == ["a/1", "b/2"]


@pytest.mark.parametrize(("names", "labels", "message"), [
    (("loose",), None, r"has no class folder in it, expected .*/<class name>/<file> .* It holds 1 other files"),
    (("a/1", "b/2"), ["x"], r"has no folder for the class 'x'. It has: a, b"),
    (("a/1", "b/2"), ["a", "a"], "`labels` names a class twice: a, a"),
])
def test_unusable_folders_are_one_clear_line(tmp_path: Path, names: tuple[str, ...], labels: list[str] | None,
                                             message: str) -> None:
    """The message says what was expected and what is there."""
    with pytest.raises(DataError, match=message):
        read_class_folders(_write(tmp_path, *names), labels)


def test_missing_empty_and_file_are_told_apart(tmp_path: Path) -> None:
    """No folder, an empty one and a file in its place are three different mistakes."""
    with pytest.raises(DataError, match="does not exist"):
        read_class_folders(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is empty"):
        read_class_folders(tmp_path / "empty")
    _write(tmp_path, "file")
    with pytest.raises(DataError, match="is a file, expected a folder"):
        read_class_folders(tmp_path / "file")
