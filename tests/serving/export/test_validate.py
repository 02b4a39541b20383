"""The command `python -m serving.export.validate` in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from serving.export import export_model
from tests.serving.export.small_models import table_regressor

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def version(tmp_path: Path) -> Path:
    return export_model(table_regressor(), tmp_path, validate=False).path


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "serving.export.validate", *arguments], cwd=ROOT, capture_output=True,
                          text=True, check=False)


def test_a_good_version_ends_with_zero(version: Path) -> None:
    """The report is JSON on the standard output; the process had neither keras nor zoo."""
    done = command(str(version), "--target-serving", "2.18")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is True
    assert report["findings"] == []
    assert report["target_serving"] == "2.18"
    assert [check["name"] for check in report["checks"]] == ["files", "graph", "contract", "weights", "loading",
                                                             "warm-up", "golden vectors"]


def test_a_changed_file_ends_with_one(version: Path) -> None:
    """A flipped byte of the weights is one line on the standard error, and the model is not even loaded."""
    data = version / "variables" / "variables.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[3] ^= 1
    data.write_bytes(content)
    done = command(str(version))
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("files: ")] == [
        line for line in done.stderr.splitlines() if "is not what was exported" in line]
    assert len(json.loads(done.stdout)["findings"]) == 1


@pytest.mark.parametrize("arguments", [(), ("/no/such/folder",), ("--colour",)])
def test_wrong_arguments_end_with_two(arguments: tuple[str, ...]) -> None:
    """A missing folder or argument is a usage error, told in one line and without loading TensorFlow."""
    done = command(*arguments)
    assert done.returncode == 2
    assert "error:" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_importing_the_export_is_light() -> None:
    """Neither the package nor the command's module loads TensorFlow, keras or zoo."""
    code = ("import sys, serving.export, serving.export.validate, serving.export.validation\n"
            "print([name for name in ('tensorflow', 'keras', 'zoo', 'numpy') if name in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          check=True).stdout.strip() == "[]"
