"""Objects are named so that another process finds them, or refused with what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tuning.code_references import reference_of, refuse_inside_a_trial
from tuning.programs.user_code import load_object
from zoo.errors import ArgumentError


def build(hp: Any) -> Any:
    return hp


class Tuned:
    """An object with a name in this file."""


tuned = Tuned()
LAMBDA = lambda hp: hp  # noqa: E731  (what users write)


@pytest.mark.parametrize("found", [build, Tuned, tuned, LAMBDA, ArgumentError])
def test_a_reference_leads_back(found: Any) -> None:
    """Functions, classes and objects of modules, also of a package's."""
    assert load_object(reference_of(found, "model")) is found


def test_a_reference_is_one_already() -> None:
    """Text is not changed."""
    assert reference_of("model.py:build", "model") == "model.py:build"


def test_what_has_no_name_is_refused() -> None:
    """Local functions and nameless objects cannot be imported anew."""
    def local(hp: Any) -> Any:
        return hp

    for found in (local, Tuned(), [1]):
        with pytest.raises(ArgumentError, match="`model` must have a name at the top level of a file"):
            reference_of(found, "model")


def test_a_script_is_named_by_its_file(tmp_path: Path) -> None:
    """What stands in __main__ is found in its file, wherever the working directory is."""
    script = tmp_path / "script.py"
    script.write_text("from tuning.code_references import reference_of\ndef build(hp): ...\n"
                      "print(reference_of(build, 'model'))\n")
    answer = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=True, cwd=tmp_path,
                            env={"PYTHONPATH": str(Path(__file__).parents[2])})
    assert answer.stdout.strip() == f"{script}:build"


def test_a_search_does_not_begin_while_its_file_is_imported(tmp_path: Path) -> None:
    """A script without a __main__ guard is told so, instead of a search within each trial."""
    refuse_inside_a_trial()
    script = tmp_path / "script.py"
    script.write_text("from tuning.code_references import refuse_inside_a_trial\nrefuse_inside_a_trial()\n")
    with pytest.raises(Exception, match='if __name__ == "__main__":'):
        load_object(f"{script}:build")
