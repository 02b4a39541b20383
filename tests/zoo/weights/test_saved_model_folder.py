from __future__ import annotations

from pathlib import Path

import pytest

from zoo.weights.saved_model_folder import content_sha256, is_saved_model, problem_with

WHOLE = ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00002",
         "variables/variables.data-00001-of-00002", "assets/vocab.txt")


def folder_of(path: Path, *names: str) -> Path:
    path.mkdir(exist_ok=True)
    for name in names:
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(name)
    return path


def test_a_whole_folder_has_no_problem(tmp_path: Path) -> None:
    """With parameters or without, as binary or as text."""
    assert problem_with(folder_of(tmp_path / "a", *WHOLE)) == ""
    assert problem_with(folder_of(tmp_path / "b", "saved_model.pbtxt")) == ""
    assert is_saved_model(tmp_path / "a") and is_saved_model(tmp_path / "b")
    assert not is_saved_model(folder_of(tmp_path / "c", "config.json"))


@pytest.mark.parametrize(("missing", "message"), [
    (WHOLE[0], "neither saved_model.pb"), (WHOLE[1], "variables.index is missing"), (WHOLE[2], "data-... is missing"),
    (WHOLE[3], "data-... is missing")])
def test_what_is_missing_is_named(tmp_path: Path, missing: str, message: str) -> None:
    """Cleaners of temporary folders leave half of a module (hub#896)."""
    folder = folder_of(tmp_path / "a", *(name for name in WHOLE if name != missing))
    assert message in problem_with(folder)
    assert is_saved_model(folder)


def test_empty_and_absent_folders(tmp_path: Path) -> None:
    """What a killed download leaves is told apart."""
    assert problem_with(tmp_path / "none") == "it is no folder"
    assert problem_with(folder_of(tmp_path / "a")) == "it is empty"
    folder_of(tmp_path / "b", *WHOLE)
    (tmp_path / "b" / "saved_model.pb").write_bytes(b"")
    assert "neither saved_model.pb" in problem_with(tmp_path / "b")


def test_the_content_s_hash_is_of_what_is_computed(tmp_path: Path) -> None:
    """Copies have the same hash, whatever lies beside; another word of the vocabulary changes it."""
    first = content_sha256(folder_of(tmp_path / "a", *WHOLE))
    assert content_sha256(folder_of(tmp_path / "b", *WHOLE, "fingerprint.pb", "README.md")) == first
    (tmp_path / "b" / "assets" / "vocab.txt").write_text("other")
    assert content_sha256(tmp_path / "b") != first
