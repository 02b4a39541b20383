from __future__ import annotations

import keras
import numpy as np

from zoo.layers.stored_normalization import StoredNormalization

X = np.random.default_rng(0).uniform(0, 255, (2, 3, 3, 2)).astype("float32")


def test_it_normalises_per_channel() -> None:
    """The output is (x - mean) / sqrt(variance) * scale."""
    layer = StoredNormalization((10.0, 20.0), (4.0, 9.0), (1.0, 0.5))
    np.testing.assert_allclose(layer(X), (X - (10, 20)) / (2, 3) * (1, 0.5), rtol=1e-5)


def test_assigned_statistics_take_effect_at_once() -> None:
    """Weights from a file count without a further call; with Keras's own layer they do not."""
    ours, theirs = StoredNormalization(), keras.layers.Normalization()
    for layer in (ours, theirs):
        layer.build(X.shape)
        layer.weights[0].assign([100.0, 100.0])
    np.testing.assert_allclose(ours(X), X - 100, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(theirs(X), X, rtol=1e-4)


def test_its_weights_are_those_of_keras_s_layer() -> None:
    """Name, shape, dtype and order of the weights are the same, so published files fit."""
    ours, theirs = StoredNormalization(), keras.layers.Normalization()
    for layer in (ours, theirs):
        layer.build(X.shape)
    assert [(w.name, w.shape, w.dtype) for w in ours.weights] == [(w.name, w.shape, w.dtype) for w in theirs.weights]


def test_the_configuration_builds_an_equal_layer() -> None:
    """`from_config` brings back initial statistics and scale."""
    layer = StoredNormalization((1.0, 2.0), (3.0, 4.0), 0.5)
    again = StoredNormalization.from_config(layer.get_config())
    np.testing.assert_allclose(again(X), layer(X))
