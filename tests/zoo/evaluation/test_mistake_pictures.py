from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.zoo.evaluation.picture_check import check_picture
from zoo.evaluation.mistake_pictures import plot_mistakes
from zoo.evaluation.mistakes import WrongClass


def _mistakes(count: int) -> list[WrongClass]:
    return [WrongClass(index=i, source=f"/somewhere/a long file name with $ and 猫 {i}.png", truth="a" * 60,
                       predicted="Golden Retriever of Scotland", confidence=0.5, truth_probability=0.1)
            for i in range(count)]


@pytest.mark.parametrize("count", [1, 8, 24])
def test_mistakes_are_shown_in_a_grid(tmp_path: Path, count: int) -> None:
    """Wide and tall pictures have the same frame; those that cannot be loaded are left out."""
    def load(source: str) -> np.ndarray | None:
        number = int(source.split()[-1].removesuffix(".png"))
        shape = [(8, 8), (300, 100, 3), (100, 300, 1)][number % 3]
        return None if number == 5 else np.full(shape, 120, dtype=np.uint8)

    assert plot_mistakes(_mistakes(count), load, tmp_path / "x.png")
    check_picture(tmp_path / "x.png")


def test_without_pictures_there_is_no_grid(tmp_path: Path) -> None:
    """Texts and tables have none."""
    assert not plot_mistakes(_mistakes(3), lambda source: None, tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []
