"""Words behind the options of `zoo tune`."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from tuning.cli import resume_command, search_command
from tuning.cli_words import IN_OPTIONS, is_code, read_configuration, settings_of, size_in_bytes, values_of
from zoo.errors import ArgumentError


@pytest.mark.parametrize(("word", "code"), [
    ("mlp_binary", False), ("resnet50.imagenet", False), ("model.py:build", True), ("/a/b/model.py:build", True),
    ("package.module:Tuned", True), (":build", False), ("model.py:", False), ("model.py:2", False)])
def test_code_and_models_are_told_apart(word: str, code: bool) -> None:
    """Code has a name behind a colon; registered models have none."""
    assert is_code(word) is code


def test_settings_are_name_and_text() -> None:
    """What stands behind the first equals sign is the notation of spaces; values are JSON or words."""
    assert settings_of(["a=1..2", "b={x,y}", "c==0.2"], "--set") == {"a": "1..2", "b": "{x,y}", "c": "=0.2"}
    assert values_of(["a=1", "b=true", "c=adam", "d=[1,2]", "e=None"], "--fix") == {
        "a": 1, "b": True, "c": "adam", "d": (1, 2), "e": None}
    assert settings_of(None, "--set") == {}
    for wrong in (["a"], ["=1"], ["a="], ["a=1", "a=2"]):
        with pytest.raises(ArgumentError, match="`--set`"):
            settings_of(wrong, "--set")


@pytest.mark.parametrize(("text", "size"), [("1000", 1000), ("500M", 500_000_000), ("2g", 2_000_000_000),
                                            ("1.5GB", 1_500_000_000), (" 3 k ", 3000)])
def test_amounts_of_memory(text: str, size: int) -> None:
    """A number, with or without a unit."""
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1G", "2X", "0", "1e3", "2 G B"])
def test_other_amounts_are_refused(text: str) -> None:
    """The message shows what it looks like."""
    with pytest.raises(ArgumentError, match="such as 500M or 2G"):
        size_in_bytes(text)


def test_configuration_files(tmp_path: Path) -> None:
    """JSON and YAML; a search's own search.json is one, too."""
    (tmp_path / "a.yaml").write_text("trials: 40\nobjectives: [val_accuracy, 'min:size_mb']\n")
    (tmp_path / "b.json").write_text(json.dumps({"trials": 40}))
    (tmp_path / "c.json").write_text(json.dumps({"format": 1, "config": {"trials": 40}}))
    assert read_configuration(tmp_path / "a.yaml") == {"trials": 40, "objectives": ["val_accuracy", "min:size_mb"]}
    assert read_configuration(tmp_path / "b.json") == read_configuration(tmp_path / "c.json") == {"trials": 40}


@pytest.mark.parametrize(("name", "content", "said"), [
    ("a.json", "{", "cannot be read"), ("a.json", "[1]", "must map names"), ("a.yaml", "a: [", "no YAML"),
    ("a.yaml", "- 1", "must map names"), ("a.yaml", "1: 2", "must map names"),
    ("a.json", b"\xff\xfe", "cannot be read"), ("b.json", None, "does not exist")])
def test_files_that_are_none(tmp_path: Path, name: str, content: Any, said: str) -> None:
    """The message names the file and what is wrong."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ArgumentError, match=f"{name}.* {said}"):
        read_configuration(path)


def test_every_option_that_a_message_names_exists() -> None:
    """The table names options of the commands, and no others."""
    existing = {f"--{name.replace('_', '-')}" for command in (search_command, resume_command)
                for name in inspect.signature(command).parameters}
    assert {option for option in IN_OPTIONS.values() if option.startswith("--")} <= existing | {"--set"}
