"""Small real files for the tests of zoo.data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from zoo.spec import ImagePreprocessing

TINY = ImagePreprocessing(height=8, width=8, scale=1 / 255)


def picture(path: Path, seed: int, *, mode: str = "RGB", size: tuple[int, int] = (12, 10), format: str = "PNG") -> Path:
    """Writes a picture whose pixels depend on the seed alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, format=format)
    return path


def class_folders(root: Path, counts: dict[str, int], *, first_seed: int = 0) -> Path:
    """Writes root/<class>/<number>.png with `counts` pictures per class, all different."""
    seed = first_seed
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture(root / name / f"{number:03}.png", seed)
            seed += 1
    return root


def lines(path: Path, rows: Sequence[str], end: str = "\n") -> Path:
    """Writes rows as they are, one per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(row + end for row in rows).encode("utf-8"))
    return path
