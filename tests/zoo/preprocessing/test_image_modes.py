from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from keras.applications.imagenet_utils import preprocess_input

from zoo.errors import ArgumentError, UnknownNameError
from zoo.preprocessing.image import ImageTransform
from zoo.preprocessing.image_modes import MODES, image_mode
from zoo.spec import ImagePreprocessing


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_modes_equal_kerass_own_preprocessing(mode: str) -> None:
    """The three modes of keras.applications give what its preprocess_input gives."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    expected = preprocess_input(pixels.astype(np.float32), data_format="channels_last", mode=mode)
    ours = ImageTransform(image_mode(mode, 6, 5)).from_pixels(pixels).numpy()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6 if mode != "caffe" else 1e-5)


@pytest.mark.parametrize(("mode", "low", "high"), [("raw", 0, 255), ("unit", 0, 1), ("tf", -1, 1)])
def test_modes_have_their_range(mode: str, low: float, high: float) -> None:
    """Black and white become the ends of the promised range."""
    pixels = np.stack([np.zeros((1, 3)), np.full((1, 3), 255)], axis=0)
    ours = ImageTransform(image_mode(mode, 2, 1)).from_pixels(pixels).numpy()
    np.testing.assert_allclose(ours[:, 0], [[low] * 3, [high] * 3], rtol=0, atol=1e-6)


def test_options_reach_the_record() -> None:
    """Further fields are those of ImagePreprocessing, and may override the mode's."""
    record = image_mode("unit", 224, 200, resize="crop", crop_fraction=0.875, interpolation="bicubic", scale=1 / 128)
    assert record == ImagePreprocessing(height=224, width=200, scale=1 / 128, resize="crop", crop_fraction=0.875,
                                        interpolation="bicubic")


def test_an_unknown_mode_names_the_known_ones() -> None:
    """A misspelt mode is refused with the near name and the list."""
    with pytest.raises(UnknownNameError, match=r"'cafe'.*'caffe'.*raw, unit, tf, torch, caffe"):
        image_mode("cafe", 224, 224)


def test_modes_are_for_colour() -> None:
    """A mode with three means cannot be had for one channel."""
    with pytest.raises(ArgumentError, match="`mean`"):
        image_mode("torch", 8, 8, channels=1)


def test_modes_cannot_be_changed() -> None:
    """The table is read-only, down to the fields."""
    with pytest.raises(TypeError):
        MODES["tf"]["scale"] = 1.0  # type: ignore[index]


def test_the_module_loads_no_tensorflow() -> None:
    """The catalog may import it and stays light."""
    code = ("import sys, zoo.preprocessing.image_modes, zoo.preprocessing.table_fitting\n"
            "print([name for name in ('tensorflow', 'keras') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
