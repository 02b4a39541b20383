"""What every picture of a report must be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def check_picture(path: Path) -> None:
    """Checks that a PNG can be read, is not blank, and has a white margin, so that nothing is cut off."""
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("L"))
    assert min(pixels.shape) > 150
    assert (pixels < 200).mean() > 0.002
    for edge in (pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:]):
        assert edge.min() > 240, "something touches the edge of the picture"
