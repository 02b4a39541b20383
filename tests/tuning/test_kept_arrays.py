"""Arrays in a search's folder: the same in every process, refused where they are others, never half there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tuning.errors import StoreError
from tuning.kept_arrays import keep_arrays, read_arrays
from tuning.programs.user_code import load_data
from zoo.errors import ArgumentError


def arrays() -> dict[str, Any]:
    x = np.arange(12.0, dtype="float32").reshape(4, 3)
    return {"x": {"a": x, "b": ["one", "two", "three", "four"]}, "y": [0, 1, 1, 0], "validation_data": (x, x[:, 0]),
            "batch_size": 2, "shuffle": False, "class_weight": {"0": 1.0, "1": 2.0}}


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    """Arrays, texts, tuples, dicts and plain values, by the reference that trials load, mapped and not copied."""
    found = load_data(keep_arrays(tmp_path / "data", arrays()))
    np.testing.assert_array_equal(found["x"]["a"], arrays()["x"]["a"])
    assert isinstance(found["x"]["a"], np.memmap)
    assert found["x"]["b"].tolist() == ["one", "two", "three", "four"]
    assert found["y"].tolist() == [0, 1, 1, 0]
    assert isinstance(found["validation_data"], tuple)
    assert {name: found[name] for name in ("batch_size", "shuffle", "class_weight")} == {
        "batch_size": 2, "shuffle": False, "class_weight": {"0": 1.0, "1": 2.0}}


def test_another_process_reads_them(tmp_path: Path) -> None:
    """From another working directory, by running the file that was written."""
    reference = keep_arrays(tmp_path / "data", {"x": np.ones((2, 2))})
    code = "import runpy, sys; print(runpy.run_path(sys.argv[1])['load']()['x'].sum())"
    answer = subprocess.run([sys.executable, "-c", code, reference.rpartition(":")[0]], capture_output=True, text=True,
                            check=True, cwd=tmp_path, env={"PYTHONPATH": str(Path(__file__).parents[2])})
    assert answer.stdout.strip() == "4.0"


def test_other_arrays_are_another_search(tmp_path: Path) -> None:
    """The same ones may be given again; one number, one type or one name more may not."""
    folder = tmp_path / "data"
    first = keep_arrays(folder, {"x": np.ones(3)})
    assert keep_arrays(folder, {"x": np.ones(3)}) == first
    for other in ({"x": np.ones(4)}, {"x": np.ones(3, "float32")}, {"x": np.array([1, 1, 2.0])},
                  {"x": np.ones(3), "y": np.ones(3)}):
        with pytest.raises(StoreError, match="begun with other arrays"):
            keep_arrays(folder, other)


def test_what_was_half_written_is_written_again(tmp_path: Path) -> None:
    """The account of the arrays comes last, so that a crash before it leaves nothing that counts."""
    folder = tmp_path / "data"
    keep_arrays(folder, {"x": np.ones(3)})
    (folder / "arrays.json").unlink()
    (folder / "0.npy").write_bytes(b"half")
    keep_arrays(folder, {"x": np.ones(3)})
    assert read_arrays(folder)["x"].tolist() == [1.0, 1.0, 1.0]
    assert json.loads((folder / "arrays.json").read_text())["format"] == 1


@pytest.mark.parametrize("value", [object(), [object()], (object(),), {"a": object()}, iter([1])])
def test_what_cannot_be_kept_is_named(tmp_path: Path, value: Any) -> None:
    """The message names the argument; nothing is written."""
    with pytest.raises(ArgumentError, match=r"`x.*` must be arrays"):
        keep_arrays(tmp_path / "data", {"x": value})
    assert not (tmp_path / "data").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A file in its place is told as such."""
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreError, match="cannot be kept"):
        keep_arrays(tmp_path / "data", {"x": np.ones(1)})
