"""Augmentation: what it changes, what it must not, and that a seed decides all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo.training.in_memory import classifier, picture_classifier
from zoo.errors import ArgumentError
from zoo.spec import ImagePreprocessing, record_of
from zoo.training.augmentation import PixelRange, augmenter_for, contrast, flip, mixup, rotate, zoom
from zoo.training.config import AUGMENTATIONS, Augmentation

SEED = tf.constant([7, 1])
IMAGENET = ImagePreprocessing(height=8, width=8, mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4))
PICTURES = tuple(name for name in AUGMENTATIONS if name != "mixup")


def images(count: int = 16, channels: int = 3) -> Any:
    """Normalised pictures whose pixels lie in [0, 255]."""
    pixels = np.random.RandomState(0).uniform(0, 255, size=(count, 8, 8, channels))
    return tf.constant(pixels / 127.5 - 1.0, tf.float32)


def augmenter(*names: str, channels: int = 3) -> Any:
    record = record_of(picture_classifier(channels=channels))
    return augmenter_for([Augmentation.parse(name) for name in names], record, 2)


def test_certain_flip_is_tensorflows() -> None:
    """A flip with probability 1 equals `tf.image.flip_left_right`; with 0 it changes nothing."""
    np.testing.assert_array_equal(flip(images(), SEED, 1.0), tf.image.flip_left_right(images()))
    np.testing.assert_array_equal(flip(images(), SEED, 0.0), images())


def test_flip_decides_for_each_picture() -> None:
    """Each picture is either as it was or mirrored, and both happen."""
    flipped, mirrored = flip(images(), SEED, 0.5).numpy(), images().numpy()[:, :, ::-1]
    same = (flipped == images().numpy()).all((1, 2, 3))
    assert 0 < same.sum() < len(same)
    np.testing.assert_array_equal(flipped[~same], mirrored[~same])


@pytest.mark.parametrize("change", [rotate, zoom, contrast])
def test_no_strength_changes_nothing(change: Any) -> None:
    """With strength 0 the values stay."""
    pixels = images() / 2.0 + 0.5
    np.testing.assert_allclose(change(pixels, SEED, 0.0), pixels, atol=1e-5)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_dtypes_and_labels_stay(name: str, channels: int) -> None:
    """Every change keeps shape, dtype and targets, changes the pictures, and repeats by its seed in a tf.data graph."""
    targets = tf.range(16) % 2
    dataset = tf.data.Dataset.from_tensors((images(channels=channels), targets))
    augment = augmenter(name, channels=channels)

    def run(seed: list[int]) -> tuple[Any, Any]:
        return next(iter(dataset.map(lambda x, y: augment(x, y, tf.constant(seed)))))

    (first, labels), (again, _), (other, _) = run([1, 2]), run([1, 2]), run([2, 2])
    assert (first.shape, first.dtype) == (images(channels=channels).shape, tf.float32)
    np.testing.assert_array_equal(labels, targets)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    assert np.abs(first - images(channels=channels)).max() > 1e-3


def test_all_together_keep_the_range() -> None:
    """The whole chain stays in the range that normalised pixels have."""
    changed, _ = augmenter(*PICTURES)(images(), tf.range(16) % 2, SEED)
    assert changed.numpy().min() >= -1.0 - 1e-5 and changed.numpy().max() <= 1.0 + 1e-5


def test_value_changes_happen_in_pixels() -> None:
    """Contrast does the same to a picture whichever way it is normalised, because it works on its pixels."""
    pixels = np.random.RandomState(0).uniform(60, 200, size=(4, 8, 8, 3)).astype("float32")
    plain = ImagePreprocessing(height=8, width=8)
    results = []
    for preprocessing in (plain, IMAGENET):
        values = PixelRange(preprocessing)
        record = record_of(picture_classifier(channels=3)).replace(preprocessing=preprocessing)
        augment = augmenter_for([Augmentation("contrast", 1.0)], record, 2)
        assert augment is not None
        changed, _ = augment(values.from_pixels(tf.constant(pixels / 255.0)), tf.range(4), SEED)
        results.append(values.to_pixels(changed).numpy())
    np.testing.assert_allclose(results[0], results[1], atol=1e-5)
    assert np.abs(results[0] - pixels / 255.0).max() > 0.05


def test_pixel_range_follows_the_preprocessing() -> None:
    """Pixels are normalised as `ImagePreprocessing` says, and come back."""
    pixels = tf.constant(np.random.RandomState(1).uniform(size=(2, 8, 8, 3)), tf.float32)
    normalised = PixelRange(IMAGENET).from_pixels(pixels)
    expected = (pixels.numpy() * 255.0 - np.array(IMAGENET.mean)) / np.array(IMAGENET.std)
    np.testing.assert_allclose(normalised, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(PixelRange(IMAGENET).to_pixels(normalised), pixels, atol=1e-6)


def test_mixup_blends_inputs_and_targets_alike() -> None:
    """The share that a blended target tells is the share of the inputs, and the example keeps the larger one."""
    inputs, targets = images(), tf.range(16)
    mixed, soft = mixup(inputs, targets, SEED, 1.0, 16)
    own = tf.linalg.diag_part(soft)
    assert soft.shape == (16, 16) and np.asarray(own).min() >= 0.5 and np.asarray(own).min() < 0.95
    np.testing.assert_allclose(tf.reduce_sum(soft, -1), np.ones(16), atol=1e-6)
    np.testing.assert_allclose(mixed, tf.einsum("ij,jhwc->ihwc", soft, inputs), atol=1e-5)


def test_mixup_of_binary_and_float_targets() -> None:
    """Binary indices become a column, values stay rows; a dict of inputs is blended throughout."""
    inputs = {"a": images(), "b": tf.ones([16, 5])}
    mixed, soft = mixup(inputs, tf.range(16) % 2, SEED, 0.2, 0)
    _, values = mixup(inputs, tf.ones([16, 3]), SEED, 0.2, 0)
    assert (soft.shape, values.shape, mixed["b"].shape) == ((16, 1), (16, 3), (16, 5))
    np.testing.assert_allclose(values, np.ones((16, 3)), atol=1e-6)


def test_mixup_survives_a_tiny_alpha() -> None:
    """A Beta distribution that is nearly all 0 or 1 gives no NaN."""
    mixed, soft = mixup(images(512), tf.range(512) % 2, SEED, 0.01, 2)
    assert np.isfinite(mixed).all() and np.isfinite(soft).all()


def test_nothing_to_do() -> None:
    """Without changes there is no augmenter."""
    assert augmenter_for([], record_of(picture_classifier()), 2) is None


def test_pictures_only() -> None:
    """A change of pictures is refused for a model that takes something else."""
    with pytest.raises(ArgumentError, match="'flip' needs pictures whose preprocessing is known"):
        augmenter_for([Augmentation("flip")], record_of(classifier()), 3)


def test_no_mixup_of_words() -> None:
    """Word ids cannot be blended."""
    with pytest.raises(ArgumentError, match="word ids cannot be blended"):
        augmenter_for([Augmentation("mixup")], record_of(classifier()).replace(input_kind="text"), 3)
