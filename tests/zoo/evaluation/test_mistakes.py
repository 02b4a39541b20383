from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.evaluation.mistakes import as_picture, excerpts, largest_errors, load_picture_file, worst_classes


def test_only_wrong_answers_are_mistakes_worst_first() -> None:
    """The least probable truth comes first; equals are ordered by confidence, then by place."""
    found = worst_classes(np.array([0, 1, 0, 1, 0]), np.array([1, 1, 1, 0, 1]), np.array([0.6, 0.9, 0.9, 0.8, 0.6]),
                          np.array([0.3, 0.9, 0.1, 0.1, 0.3]), sources=list("vwxyz"), labels=("no", "yes"), limit=9)
    assert [mistake.source for mistake in found] == ["x", "y", "v", "z"]
    assert (found[0].said, found[0].true) == ("yes (90%)", "no (10%)")


def test_the_output_that_is_furthest_off_is_named() -> None:
    """With several outputs the largest error of an example counts; exact answers are no mistakes."""
    found = largest_errors(np.array([[1.0, 2.0], [0.0, 0.0], [5.0, 5.0]]), np.array([[1.5, 2.0], [1.0, -3.0], [5, 5]]),
                           sources=list("abc"), labels=("w", "h"), limit=9)
    assert [(mistake.source, mistake.output) for mistake in found] == [("b", "h"), ("a", "w")]
    assert found[0].said == "h = -3" and found[0].true == "0 (off by -3)"
    assert found[0].to_dict()["error"] == -3.0


def test_pictures_are_loaded_upright(tmp_path: Path) -> None:
    """A photograph that was taken sideways is shown upright, and small."""
    picture = Image.new("RGB", (600, 300), "red")
    picture.paste("blue", (0, 0, 300, 300))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    picture.save(tmp_path / "photo.jpg", exif=exif)
    found = load_picture_file(str(tmp_path / "photo.jpg"))
    assert found is not None and found.shape == (256, 128, 3)
    assert found[10, 64, 2] > 200 and found[-10, 64, 0] > 200


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "1", "I;16"])
def test_every_kind_of_picture_is_shown_in_colour(tmp_path: Path, mode: str) -> None:
    """Grey, transparent and print pictures become RGB."""
    path = tmp_path / ("picture.jpg" if mode == "CMYK" else "picture.png")
    Image.new(mode, (20, 10)).save(path)
    found = load_picture_file(str(path))
    assert found is not None and found.shape == (10, 20, 3) and found.dtype == np.uint8


def test_what_is_no_picture_is_none(tmp_path: Path) -> None:
    """Tables, broken files, folders, missing files and strange names are not pictures."""
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (tmp_path / "table.csv").write_text("a,b")
    for source in ("broken.png", "table.csv", "table.csv:1", ".", "missing.jpg", "a\0b", "x" * 5000):
        assert load_picture_file(str(tmp_path / source)) is None, source


@pytest.mark.parametrize("values", [np.zeros((4, 5)), np.zeros((4, 5, 1)), np.zeros((4, 5, 3))])
def test_loaders_may_return_grey_or_colour_bytes_or_fractions(values: np.ndarray) -> None:
    """All that a loader may return becomes the same picture."""
    for scale, dtype in ((255, np.uint8), (1.0, np.float32)):
        found = as_picture((values + scale).astype(dtype))
        assert found is not None and found.shape == (4, 5, 3) and found.dtype == np.uint8
        assert (found == 255).all()


@pytest.mark.parametrize("values", [None, np.zeros(3), np.zeros((2, 2, 2)), np.zeros((0, 3, 3)), "text"])
def test_other_arrays_are_no_pictures(values: object) -> None:
    """A tensor that is no picture is not forced into one."""
    assert as_picture(values) is None  # type: ignore[arg-type]


def test_the_text_behind_a_source_is_read(tmp_path: Path) -> None:
    """Lines of tables and text files are shown, shortened; other sources have no text."""
    (tmp_path / "t.csv").write_text("text,label\nfirst,0\nsecond one,1\n")
    (tmp_path / "note.txt").write_text("so\nmany " + "words " * 100)
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    found = excerpts([f"{tmp_path}/t.csv:3", f"{tmp_path}/note.txt", f"{tmp_path}/t.csv:2", f"{tmp_path}/t.csv:99",
                      f"{tmp_path}/photo.png", f"{tmp_path}/gone.csv:1", "mnist:12", ""])
    assert found[0] == "second one,1" and found[2] == "first,0"
    assert found[1].startswith("so many words") and len(found[1]) <= 300 and found[1].endswith("…")
    assert found[3:] == ("", "", "", "", "")
