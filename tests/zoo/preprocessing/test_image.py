from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo.preprocessing import pictures
from zoo.errors import ArgumentError
from zoo.preprocessing.image import ImageTransform
from zoo.preprocessing.image_modes import image_mode
from zoo.spec import ImagePreprocessing

KINDS = pictures.kinds()
FILES = tuple(KINDS.values())
SPECS = {
    "stretch bilinear": ImagePreprocessing(height=28, width=28, channels=1, scale=1 / 255),
    "crop bicubic torch": image_mode("torch", 32, 24, resize="crop", crop_fraction=0.875, interpolation="bicubic"),
    "pad area caffe": image_mode("caffe", 20, 41, resize="pad", interpolation="area"),
    "stretch nearest tf": image_mode("tf", 24, 34, interpolation="nearest"),
    "stretch plain bilinear": ImagePreprocessing(height=17, width=50, antialias=False, std=(2.0, 3.0, 7.0)),
}


def in_tf_data(transform: ImageTransform) -> np.ndarray:
    dataset = tf.data.Dataset.from_tensor_slices(list(FILES)).map(transform.from_bytes, num_parallel_calls=2)
    return np.stack(list(dataset.batch(4).unbatch().as_numpy_iterator()))


def in_a_graph(transform: ImageTransform) -> np.ndarray:
    graph = tf.function(transform.from_bytes, [tf.TensorSpec([], tf.string)])
    return np.stack([graph(file).numpy() for file in FILES])


def in_map_fn(transform: ImageTransform) -> np.ndarray:
    graph = tf.function(transform.batch_from_bytes, [tf.TensorSpec([None], tf.string)], autograph=False)
    return graph(tf.constant(FILES)).numpy()


def from_decoded_pixels(transform: ImageTransform) -> np.ndarray:
    return np.stack([transform.from_pixels(transform.decode(file).numpy()).numpy() for file in FILES])


@pytest.fixture(scope="module")
def eager() -> Callable[[str], np.ndarray]:
    return functools.cache(lambda name: np.stack([ImageTransform(SPECS[name]).from_bytes(file).numpy()
                                                  for file in FILES]))


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("mode", [in_tf_data, in_a_graph, in_map_fn, from_decoded_pixels])
def test_every_mode_gives_the_same_bits(eager, name: str, mode: Any) -> None:
    """Every kind of file gives identical numbers eagerly, in tf.data, in a graph, in map_fn and from decoded pixels."""
    expected = eager(name)
    assert expected.dtype == np.float32 and np.isfinite(expected).all()
    np.testing.assert_array_equal(mode(ImageTransform(SPECS[name])), expected)


def test_pixels_of_the_right_size_are_only_normalised() -> None:
    """(pixel * scale - mean) / std, in the channel order asked for."""
    spec = ImagePreprocessing(height=5, width=4, scale=0.5, mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 5.0),
                              channel_order="bgr")
    pixels = np.random.default_rng(1).integers(0, 256, (5, 4, 3), np.uint8)
    expected = (pixels[..., ::-1].astype(np.float64) * 0.5 - [1, 2, 3]) / [2, 4, 5]
    np.testing.assert_allclose(ImageTransform(spec).from_pixels(pixels).numpy(), expected, rtol=1e-6)


def test_bytes_and_floats_are_the_same_pixels() -> None:
    """The dtype of the pixels does not matter."""
    transform = ImageTransform(SPECS["crop bicubic torch"])
    pixels = np.asarray(pictures.drawing())
    of_bytes = transform.from_pixels(pixels).numpy()
    for dtype in (np.float32, np.float64, np.int32):
        np.testing.assert_array_equal(transform.from_pixels(pixels.astype(dtype)).numpy(), of_bytes)


def test_decode_gives_upright_bytes_of_the_wanted_channels() -> None:
    """Colour is [h, w, 3], grey [h, w, 1], both turned upright."""
    colour = ImageTransform(SPECS["stretch nearest tf"]).decode(KINDS["jpeg turned"])
    grey = ImageTransform(SPECS["stretch bilinear"]).decode(KINDS["jpeg turned"])
    assert colour.dtype == grey.dtype == tf.uint8
    assert colour.shape == (pictures.WIDTH, pictures.HEIGHT, 3)
    assert grey.shape == (pictures.WIDTH, pictures.HEIGHT, 1)


def test_shapes_are_known_before_the_graph_runs() -> None:
    """A model can be called on what tf.data gives: the static shape is complete."""
    transform = ImageTransform(SPECS["crop bicubic torch"])
    dataset = tf.data.Dataset.from_tensor_slices([FILES[0]])
    assert dataset.map(transform.from_bytes).element_spec == tf.TensorSpec([32, 24, 3], tf.float32)
    assert dataset.map(transform.decode).element_spec == tf.TensorSpec([None, None, 3], tf.uint8)
    batches = dataset.batch(2).map(transform.batch_from_bytes)
    assert batches.element_spec.shape.as_list() == [None, 32, 24, 3]


@pytest.mark.parametrize("in_graph", [False, True])
def test_an_empty_batch_is_an_empty_batch(in_graph: bool) -> None:
    """No pictures give [0, height, width, channels]."""
    transform = ImageTransform(SPECS["stretch bilinear"])
    call = tf.function(transform.batch_from_bytes, [tf.TensorSpec([None], tf.string)]) if in_graph else (
        transform.batch_from_bytes)
    assert call(tf.constant([], tf.string)).shape == (0, 28, 28, 1)


def test_a_bad_picture_in_tf_data_is_one_picture() -> None:
    """The error of one element names INVALID_ARGUMENT and leaves the next one readable."""
    transform = ImageTransform(SPECS["stretch bilinear"])
    dataset = tf.data.Dataset.from_tensor_slices([FILES[0], b"no picture", FILES[1]]).map(transform.from_bytes)
    iterator = iter(dataset)
    next(iterator)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown picture format"):
        next(iterator)
    assert next(iterator).shape == (28, 28, 1)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 8, 4), (1, 8, 8, 3)])
def test_pixels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    """A missing or additional axis, or another number of channels, is named with the shape expected."""
    with pytest.raises(ArgumentError, match=r"\[h, w, 3\].*Received: \("):
        ImageTransform(SPECS["stretch nearest tf"]).from_pixels(np.zeros(shape))
