"""A student's batch as its teacher reads it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo.training.in_memory import classifier, picture_classifier
from zoo.compression.teacher_inputs import inputs_for_teacher, pictures_for
from zoo.errors import ArgumentError
from zoo.preprocessing.transform import transform_for
from zoo.spec import ImagePreprocessing, ModelRecord, WordPiecePreprocessing, record_of

TORCH = ImagePreprocessing(height=12, width=10, scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
CAFFE = ImagePreprocessing(height=12, width=10, mean=(103.939, 116.779, 123.68), channel_order="bgr")
GREY = ImagePreprocessing(height=12, width=10, channels=1, scale=1 / 127.5, mean=(1.0,))


def prepared(pixels: np.ndarray, spec: ImagePreprocessing) -> Any:
    return transform_for(spec).from_pixels(tf.constant(pixels))[tf.newaxis]


@pytest.mark.parametrize(("ours", "theirs"), [(TORCH, CAFFE), (CAFFE, TORCH), (TORCH, GREY), (GREY, CAFFE)])
def test_pictures_are_what_the_other_preprocessing_makes_of_them(ours: ImagePreprocessing,
                                                                 theirs: ImagePreprocessing) -> None:
    """Scale, mean, order and number of the channels, from pixels in one way and from those of the other in another."""
    pixels = np.random.RandomState(0).randint(0, 256, (12, 10, ours.channels)).astype("uint8")
    direct = np.repeat(pixels, 3, axis=-1) if ours.channels == 1 else pixels
    if theirs.channels == 1:
        direct = tf.image.rgb_to_grayscale(tf.constant(pixels, tf.float32)).numpy()

    found = pictures_for(prepared(pixels, ours), ours, theirs)
    np.testing.assert_allclose(found, prepared(direct, theirs), atol=2e-3 * float(np.abs(found).max()))


def test_pictures_of_another_size_are_resized() -> None:
    """The teacher gets its own size."""
    found = pictures_for(tf.ones((2, 8, 8, 3)), TORCH.resized(8, 8), CAFFE)
    assert found.shape == (2, 12, 10, 3)


def test_equal_preprocessing_leaves_the_batch_alone() -> None:
    """The same tensor comes back."""
    record = record_of(picture_classifier())
    x = tf.ones((1, 8, 8, 1))
    assert inputs_for_teacher(record, record, picture_classifier())(x) is x


READING = WordPiecePreprocessing(max_length=8, vocabulary=("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"))


def record(**changes: Any) -> ModelRecord:
    return ModelRecord(name="text", input_kind="text", task="classification",
                       preprocessing=dataclasses.replace(READING, **changes))


def test_texts_have_to_be_read_alike() -> None:
    """Another length is fine, other words or another kind of input are not."""
    plain = record()
    inputs_for_teacher(plain, record(max_length=16), classifier())
    with pytest.raises(ArgumentError, match="another way"):
        inputs_for_teacher(plain, record(lowercase=False), classifier())
    with pytest.raises(ArgumentError, match="reads text inputs and the teacher 'classifier' tabular"):
        inputs_for_teacher(plain, record_of(classifier()), classifier())


def test_the_teacher_gets_its_own_inputs() -> None:
    """Of a batch by name it takes what it was built with, and a missing one is told."""
    choose = inputs_for_teacher(record(), record(), classifier())
    assert set(choose({"features": tf.ones((1, 4)), "segment_ids": tf.zeros((1, 4))})) == {"features"}
    with pytest.raises(ArgumentError, match="takes the input 'features'"):
        choose({"segment_ids": tf.zeros((1, 4))})
