"""What README.md and the container files promise is there."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest
import typer

import zoo
from zoo.cli import application

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_import_what_exists(example: str) -> None:
    """Each Python example parses, and every name it imports is there."""
    for node in ast.walk(ast.parse(example)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names)


def test_the_first_example_has_at_most_ten_lines() -> None:
    """It stays as short as it claims to be."""
    assert len(EXAMPLES[0].strip().splitlines()) <= 10


def test_named_commands_and_targets_exist() -> None:
    """Every `zoo COMMAND` is a command and every `make TARGET` a target."""
    commands = set(typer.main.get_command(application()).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"`zoo ([a-z]+)", README))
    assert named
    assert named <= commands
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wanted = set(re.findall(r"`?make ([a-z-]+)`?\n|`make ([a-z-]+)`", README))
    assert {name for pair in wanted for name in pair if name} <= targets


def test_the_table_of_models_names_every_family() -> None:
    """A name in the table is a model, and no family of the catalog is missing."""
    table = README[README.index("## Models"):README.index("## What an export holds")]
    names = set(zoo.list())
    whole = {word for word in re.findall(r"`([a-z0-9_]+)`", table) if word in names}
    assert {zoo.info(name).family for name in whole} == {zoo.info(name).family for name in names}


@pytest.mark.parametrize("path", sorted((ROOT / "docker").glob("*.Dockerfile")), ids=lambda path: path.name)
def test_container_files_copy_what_exists(path: Path) -> None:
    """Every COPY of a build takes a path of this project, but for the models that the user brings."""
    for line in path.read_text().splitlines():
        if line.startswith("COPY "):
            for source in line.split()[1:-1]:
                assert source.startswith("models/") or (ROOT / source).exists(), f"{path.name}: {line}"
