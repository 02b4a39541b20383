"""Objects of the user's, found by file or module."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tuning.errors import SearchError
from tuning.programs.user_code import load_data, load_object


@pytest.fixture(autouse=True)
def clean_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_files_and_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is imported once, finds what lies beside it, and is not taken for a package of its name."""
    (tmp_path / "beside.py").write_text("NUMBER = 7\n")
    (tmp_path / "json.py").write_text("import beside\nload = beside.NUMBER\nobjects = []\n")
    assert load_object(f"{tmp_path}/json.py:load") == 7
    assert load_object(f"{tmp_path}/json.py:objects") is load_object(f"{tmp_path}/json.py:objects")
    import json
    assert callable(json.load)
    assert load_object("json:load") is json.load
    monkeypatch.chdir(tmp_path)
    assert load_object("json.py:load") == 7
    assert load_object("beside:NUMBER") == 7  # modules of the working directory


@pytest.mark.parametrize(("reference", "words"), [
    ("model.py", "Code is named as file.py:name"),
    (":build", "Code is named as file.py:name"),
    ("model.py:not a name", "Code is named as"),
    ("gone.py:build", r"There is no file .*gone\.py"),
    ("no_such_package_here.module:build", "There is no module 'no_such_package_here.module'"),
    ("json:no_such", "json has no 'no_such'. It has: "),
])
def test_what_is_not_there(reference: str, words: str) -> None:
    """The message says what was looked for and what there is."""
    with pytest.raises(SearchError, match=words):
        load_object(reference)


def test_a_file_that_fails_is_not_kept(tmp_path: Path) -> None:
    """The user's own exception comes through, and a mended file is read again."""
    file = tmp_path / "model.py"
    file.write_text("raise ValueError('mine')\n")
    with pytest.raises(ValueError, match="mine"):
        load_object(f"{file}:build")
    file.write_text("build = 1\nimport no_such_package_here\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_package_here"):
        load_object(f"{file}:build")
    file.write_text("build = 1\n")
    assert load_object(f"{file}:build") == 1


def test_data_functions(tmp_path: Path) -> None:
    """A function without arguments returns the keyword arguments of model.fit."""
    (tmp_path / "data.py").write_text("def good():\n    return {'x': 1}\ndef bad():\n    return (1, 2)\nnone = 3\n")
    assert load_data("") == {}
    assert load_data(f"{tmp_path}/data.py:good") == {"x": 1}
    with pytest.raises(SearchError, match=r"must return a dict .* It returned tuple"):
        load_data(f"{tmp_path}/data.py:bad")
    with pytest.raises(SearchError, match=r"must be a function without arguments\. It is int"):
        load_data(f"{tmp_path}/data.py:none")
