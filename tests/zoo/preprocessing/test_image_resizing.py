from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.zoo.preprocessing import pictures
from zoo.preprocessing.image_resizing import resize_pixels
from zoo.spec import ImagePreprocessing

PILLOW_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def resized(pixels: Any, **options: Any) -> np.ndarray:
    spec = ImagePreprocessing(**options)
    return resize_pixels(tf.constant(pixels, tf.float32), spec).numpy()


def by_pillow(pixels: np.ndarray, height: int, width: int, interpolation: str) -> np.ndarray:
    """Pillow's antialiased resize of float channels."""
    channels = [Image.fromarray(pixels[..., channel].astype(np.float32)).resize(
        (width, height), PILLOW_FILTERS[interpolation]) for channel in range(pixels.shape[-1])]
    return np.clip(np.stack([np.asarray(channel) for channel in channels], axis=-1), 0, 255)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.asarray(pictures.drawing(40, 60))


@pytest.mark.parametrize("interpolation", PILLOW_FILTERS)
@pytest.mark.parametrize("size", [(10, 21), (40, 60), (71, 50)])
def test_stretch_ignores_the_aspect_ratio(picture: np.ndarray, interpolation: str, size: tuple[int, int]) -> None:
    """The whole picture fills the size; antialiased, it is what Pillow makes of it."""
    ours = resized(picture, height=size[0], width=size[1], interpolation=interpolation)
    np.testing.assert_allclose(ours, by_pillow(picture, *size, interpolation), rtol=0, atol=2e-3)


@pytest.mark.parametrize(("size", "fraction", "covered"), [
    ((20, 20), 1.0, (20, 30)), ((20, 20), 0.8, (25, 38)), ((20, 10), 1.0, (20, 30)), ((10, 30), 0.5, (40, 60)),
    ((50, 60), 0.9, (56, 84)),
])
def test_crop_covers_the_size_and_cuts_out_the_centre(picture: np.ndarray, size: tuple[int, int], fraction: float,
                                                      covered: tuple[int, int]) -> None:
    """The short side becomes size / crop_fraction, the long side follows, the centre is kept."""
    ours = resized(picture, height=size[0], width=size[1], resize="crop", crop_fraction=fraction)
    top, left = (covered[0] - size[0]) // 2, (covered[1] - size[1]) // 2
    expected = by_pillow(picture, *covered, "bilinear")[top:top + size[0], left:left + size[1]]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize(("size", "fitted"), [((30, 30), (20, 30)), ((20, 60), (20, 30)), ((81, 61), (41, 61)),
                                              ((40, 60), (40, 60)), ((25, 5), (3, 5))])
def test_pad_shows_all_of_the_picture_between_black(picture: np.ndarray, size: tuple[int, int],
                                                    fitted: tuple[int, int]) -> None:
    """The aspect ratio stays, the picture is in the middle, the rest is 0."""
    ours = resized(picture, height=size[0], width=size[1], resize="pad")
    top, left = (size[0] - fitted[0]) // 2, (size[1] - fitted[1]) // 2
    expected = np.zeros((*size, 3), np.float32)
    expected[top:top + fitted[0], left:left + fitted[1]] = by_pillow(picture, *fitted, "bilinear")
    np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-3)


def test_nearest_takes_pixels_as_they_are(picture: np.ndarray) -> None:
    """Twice the size repeats every pixel."""
    ours = resized(picture, height=80, width=120, interpolation="nearest")
    np.testing.assert_array_equal(ours, picture.repeat(2, axis=0).repeat(2, axis=1))


def test_area_averages(picture: np.ndarray) -> None:
    """Half the size is the mean of four pixels."""
    ours = resized(picture, height=20, width=30, interpolation="area")
    np.testing.assert_allclose(ours, picture.reshape(20, 2, 30, 2, 3).mean((1, 3)), rtol=0, atol=1e-3)


def test_antialias_can_be_switched_off() -> None:
    """Without it bilinear looks at the nearest pixels only, so stripes that fall between them vanish."""
    stripes = np.zeros((8, 32, 1))
    stripes[:, 1::4] = 255
    options = {"height": 8, "width": 4, "channels": 1}
    np.testing.assert_allclose(resized(stripes, antialias=False, **options), 0)
    assert resized(stripes, antialias=True, **options).min() > 30


def test_bicubic_stays_in_range() -> None:
    """Overshooting at a hard edge is cut to [0, 255]."""
    edge = np.zeros((8, 8, 1))
    edge[:, 4:] = 255
    ours = resized(edge, height=8, width=31, channels=1, interpolation="bicubic")
    assert ours.min() == 0 and ours.max() == 255


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest", "area"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1)])
def test_tiny_pictures_become_the_size(resize: str, interpolation: str, shape: tuple[int, int]) -> None:
    """One pixel, one row and one column give finite numbers of the wanted shape and colour."""
    ours = resized(np.full((*shape, 3), 77.0), height=12, width=9, resize=resize, interpolation=interpolation,
                   crop_fraction=0.75)
    assert ours.shape == (12, 9, 3)
    inside = ours if resize != "pad" else ours[ours > 0]
    assert inside.size
    np.testing.assert_allclose(inside, 77.0, rtol=1e-5)


@pytest.mark.parametrize("upright", [False, True])
def test_crop_shows_the_middle_of_a_long_strip(upright: bool) -> None:
    """A strip of 1 x 60001 pixels is cut down before it is enlarged, and its centre stays the centre."""
    strip = np.zeros((1, 60001, 1))
    strip[:, 30000] = 255
    strip = strip.transpose(1, 0, 2) if upright else strip
    ours = resized(strip, height=9, width=9, channels=1, resize="crop", interpolation="nearest")
    np.testing.assert_array_equal(ours, 255)
