"""The demo's pieces; the whole way is `make demo`, and a step of each part has its own tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.demo import DemoError, _clear, run_demo, write_pictures
from tests.command_line import snapshot, zoo
from zoo.errors import ArgumentError


def test_the_digits_are_written_as_pictures(tmp_path: Path) -> None:
    """1,797 grey PNG files in ten class folders, light ink in the middle of a dark field."""
    assert write_pictures(tmp_path / "pictures") == 1797
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == [str(digit) for digit in range(10)]
    files = list((tmp_path / "pictures").glob("*/*.png"))
    assert len(files) == 1797
    pixels = np.asarray(Image.open(files[0]))
    assert (pixels.dtype, pixels.ndim) == (np.uint8, 2)
    assert pixels.max() > 200
    assert not pixels[0].any()


def test_an_earlier_demo_is_removed(tmp_path: Path) -> None:
    """The same command works twice."""
    _clear(tmp_path / "demo")
    (tmp_path / "demo" / "run").mkdir()
    (tmp_path / "demo" / "run" / "x").touch()
    _clear(tmp_path / "demo")
    assert not (tmp_path / "demo" / "run").exists()


def test_foreign_folders_and_files_are_left_alone(tmp_path: Path) -> None:
    """Only a folder that a demo made is emptied."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("three years")
    (tmp_path / "file").write_text("x")
    before = snapshot(tmp_path)
    for path in (tmp_path / "mine", tmp_path / "file"):
        with pytest.raises(ArgumentError, match="--output FOLDER"):
            _clear(path)
        with pytest.raises(ArgumentError, match="--output FOLDER"):
            run_demo(path, epochs=1)
        assert "--output FOLDER" in zoo("demo", "-o", path).error()
    assert snapshot(tmp_path) == before


def test_a_demo_that_fails_is_no_bad_input() -> None:
    """Its exit code is 1, because the user did nothing wrong."""
    assert DemoError("x").exit_code == 1
    assert "--epochs" in zoo("demo", "--epochs", "0").error()
