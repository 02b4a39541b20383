"""RandAugment's operations, each against Pillow's or written out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from zoo.training.random_augment import MAX_ENHANCEMENT, OPERATIONS, apply_operations, randaugment

AMOUNT = 0.5
PICTURE = np.random.RandomState(3).randint(20, 200, (128, 96, 3)).astype("uint8")

PILLOW: dict[str, Callable[[Image.Image], Image.Image]] = {
    "identity": lambda image: image,
    "autocontrast": ImageOps.autocontrast,
    "equalize": ImageOps.equalize,
    "solarize": lambda image: ImageOps.solarize(image, 128),
    "posterize": lambda image: ImageOps.posterize(image, 6),
    "brightness": lambda image: ImageEnhance.Brightness(image).enhance(1 + AMOUNT * MAX_ENHANCEMENT),
    "contrast": lambda image: ImageEnhance.Contrast(image).enhance(1 + AMOUNT * MAX_ENHANCEMENT),
    "color": lambda image: ImageEnhance.Color(image).enhance(1 - AMOUNT * MAX_ENHANCEMENT),
    "sharpness": lambda image: ImageEnhance.Sharpness(image).enhance(1 - AMOUNT * MAX_ENHANCEMENT),
}


def applied(name: str, amount: float, picture: np.ndarray = PICTURE, *, bgr: bool = False) -> np.ndarray:
    """The picture, uint8 [H, W, C], after one operation, in levels of 0 to 255."""
    pixels = tf.constant(picture[None] / 255.0, tf.float32)
    drawn, amounts = tf.constant([OPERATIONS.index(name)]), tf.constant([amount])
    return np.asarray(apply_operations(pixels, drawn, amounts, bgr=bgr)[0]) * 255.0


@pytest.mark.parametrize("name", PILLOW)
def test_values_are_those_of_pillow(name: str) -> None:
    """Operations on values agree with Pillow's to rounding; only equalize bins a little differently.

    Pillow leaves a border alone when it sharpens, so that the borders are not compared.
    """
    amount = -AMOUNT if name in ("color", "sharpness") else AMOUNT
    expected = np.asarray(PILLOW[name](Image.fromarray(PICTURE)), dtype="float32")
    np.testing.assert_allclose(applied(name, amount)[1:-1, 1:-1], expected[1:-1, 1:-1],
                               atol=6.0 if name == "equalize" else 1.5)


def test_channel_order() -> None:
    """Grey is weighed by the true colours, also where blue comes first."""
    swapped = applied("color", -1.0, PICTURE[..., ::-1].copy(), bgr=True)
    np.testing.assert_allclose(swapped[..., ::-1], applied("color", -1.0), atol=1e-3)


@pytest.mark.parametrize("name", ["sharpness", "rotate", "shear_x", "shear_y", "translate_x", "translate_y"])
def test_direction_matters(name: str) -> None:
    """Operations with a direction go both ways, and none is idle."""
    up, down = applied(name, 1.0), applied(name, -1.0)
    assert np.abs(up - PICTURE).max() > 5 and np.abs(down - PICTURE).max() > 5 and np.abs(up - down).max() > 5


@pytest.mark.parametrize("name", ["autocontrast", "equalize"])
def test_plain_pictures_stay(name: str) -> None:
    """A picture of one colour has no contrast to spread."""
    plain = np.full((4, 4, 3), 90, "uint8")
    np.testing.assert_allclose(applied(name, 1.0, plain), plain, atol=1e-3)


def test_each_picture_has_its_own_operation() -> None:
    """In one batch each picture gets what it drew: the same as alone."""
    pixels = tf.constant(np.repeat(PICTURE[None] / 255.0, len(OPERATIONS), 0), tf.float32)
    batch = apply_operations(pixels, tf.range(len(OPERATIONS)), tf.fill([len(OPERATIONS)], AMOUNT)).numpy() * 255.0
    for index, name in enumerate(OPERATIONS):
        np.testing.assert_allclose(batch[index], applied(name, AMOUNT), atol=1e-2, err_msg=name)


@pytest.mark.parametrize("channels", [1, 3])
def test_stays_in_range_and_repeats(channels: int) -> None:
    """Pixels stay in [0, 1]; a seed decides everything."""
    pixels = tf.constant(np.random.RandomState(0).uniform(size=(12, 9, 7, channels)), tf.float32)
    first, again, other = (randaugment(pixels, tf.constant(seed), 10.0).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
    assert first.min() >= 0.0 and first.max() <= 1.0 and first.shape == (12, 9, 7, channels)
