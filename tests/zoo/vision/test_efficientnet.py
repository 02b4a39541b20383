from __future__ import annotations

import keras
import numpy as np
import pytest

from zoo.layers.stored_normalization import StoredNormalization
from zoo.vision.efficientnet import IMAGENET_DEVIATION, IMAGENET_MEAN, efficientnet_b0

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3)).astype("float32")


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return efficientnet_b0(input_shape=(40, 40, 3), num_classes=5)


def test_a_random_network_sees_normalised_pixels(model: keras.Model) -> None:
    """Behind the normalisation the pixels are (p / 255 - mean) / deviation of ImageNet, as for published weights."""
    normalised = keras.Model(model.input, model.get_layer("normalization").output)(PIXELS)
    np.testing.assert_allclose(normalised, (PIXELS / 255 - IMAGENET_MEAN) / IMAGENET_DEVIATION, atol=1e-4)


def test_it_computes_what_keras_computes_for_published_weights(model: keras.Model) -> None:
    """Keras divides by the deviation's root once more for published weights; folding that into the variance agrees."""
    theirs = keras.applications.EfficientNetB0(weights=None, input_shape=(40, 40, 3), classes=5)
    values = model.get_weights()
    # Keras's own network of random weights has no further division: its variance takes the square of the deviation.
    values[1] = values[1] * np.asarray(IMAGENET_DEVIATION, "float32")
    theirs.set_weights(values)
    theirs.get_layer(index=2).finalize_state()
    np.testing.assert_allclose(model(PIXELS), theirs(PIXELS), rtol=1e-3, atol=1e-5)


def test_the_statistics_are_three_weights_in_front(model: keras.Model) -> None:
    """Mean, variance and count come first, as in the published files, and are never trained."""
    layer = model.get_layer("normalization")
    assert isinstance(layer, StoredNormalization)
    assert [weight.path for weight in model.weights[:3]] == \
        ["normalization/mean", "normalization/variance", "normalization/count"]
    assert not layer.trainable_weights


def test_other_channel_counts_build() -> None:
    """With one channel there are no ImageNet statistics, and the pixels are only scaled to [0, 1]."""
    grey = efficientnet_b0(input_shape=(32, 32, 1), include_top=False, pooling="avg")
    normalised = keras.Model(grey.input, grey.get_layer("normalization").output)(PIXELS[:, :32, :32, :1])
    np.testing.assert_allclose(normalised, PIXELS[:, :32, :32, :1] / 255, atol=1e-5)
