from __future__ import annotations

import keras
import numpy as np
import pytest

from zoo.errors import ArgumentError
from zoo.vision.small_cnn import cifar_cnn, imagenet_cnn, mnist_cnn

BUILDERS = {"mnist_cnn": mnist_cnn, "cifar_cnn": cifar_cnn, "imagenet_cnn": imagenet_cnn}


def conv(inputs: int, filters: int) -> int:
    return (3 * 3 * inputs + 1) * filters


def dense(inputs: int, units: int) -> int:
    return (inputs + 1) * units


def test_parameter_counts_by_hand() -> None:
    """The counts follow from the shapes: a 3 x 3 convolution takes 2 pixels off, a pooling halves and rounds down."""
    assert mnist_cnn().count_params() == conv(1, 10) + dense(26 * 26 * 10, 10) == 67_710
    assert cifar_cnn().count_params() == \
        conv(3, 64) + conv(64, 128) + dense(6 * 6 * 128, 1024) + dense(1024, 10) == 4_805_514
    assert imagenet_cnn().count_params() == (conv(3, 32) + conv(32, 64) + conv(64, 128)
                                             + dense(26 * 26 * 128, 128) + dense(128, 1000)) == 11_297_960


def test_layers_are_those_of_the_document() -> None:
    """The order of the layers is the documented one, and all names are given."""
    assert [layer.name for layer in mnist_cnn().layers] == ["image", "conv_1", "flatten", "predictions"]
    assert [layer.name for layer in cifar_cnn().layers] == \
        ["image", "conv_1", "pool_1", "conv_2", "pool_2", "flatten", "hidden", "predictions"]
    assert [layer.name for layer in imagenet_cnn().layers] == \
        ["image", "conv_1", "pool_1", "conv_2", "pool_2", "conv_3", "pool_3", "flatten", "hidden", "predictions"]


@pytest.mark.parametrize("name", BUILDERS)
def test_predictions_are_probabilities(name: str) -> None:
    """The output is one distribution over the classes per picture; logits are what the softmax takes."""
    model = BUILDERS[name](input_shape=(30, 26, 3), num_classes=4)
    image = np.random.default_rng(0).uniform(size=(3, 30, 26, 3)).astype("float32")
    probabilities = keras.ops.convert_to_numpy(model(image))
    assert probabilities.shape == (3, 4) and (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    logits = BUILDERS[name](input_shape=(30, 26, 3), num_classes=4, classifier_activation="linear")
    logits.set_weights(model.get_weights())
    np.testing.assert_allclose(keras.activations.softmax(logits(image)), probabilities, atol=1e-5)


@pytest.mark.parametrize("name", BUILDERS)
def test_without_a_head_there_are_features(name: str) -> None:
    """The feature map comes as it is or pooled, at any size."""
    build = BUILDERS[name]
    channels = build(include_top=False).output_shape[-1]
    assert build(include_top=False, pooling="avg").output_shape == (None, channels)
    assert build(include_top=False, pooling="max", input_shape=(None, None, 3)).output_shape == (None, channels)


@pytest.mark.parametrize("name", BUILDERS)
def test_regularisation_is_there_when_asked_for(name: str) -> None:
    """Dropout adds a layer, L2 adds a loss; both are absent by default."""
    assert not BUILDERS[name](input_shape=(30, 30, 3)).losses
    model = BUILDERS[name](input_shape=(30, 30, 3), dropout=0.5, l2=0.01)
    kernels = [weight for weight in model.trainable_weights if weight.name == "kernel"]
    assert len(model.losses) == len(kernels)
    assert float(sum(model.losses)) == pytest.approx(
        0.01 * sum(float(np.square(kernel.numpy()).sum()) for kernel in kernels), rel=1e-4)
    assert model.get_layer("dropout").rate == 0.5


def test_two_builds_have_the_same_names() -> None:
    """Names do not depend on what was built before."""
    for build in BUILDERS.values():
        first, second = build(), build()
        assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
        assert [weight.path for weight in first.weights] == [weight.path for weight in second.weights]


def test_wrong_arguments_are_named() -> None:
    """The message says which argument is wrong and what came."""
    with pytest.raises(ArgumentError, match=r"at least 22 pixels.*\(16, 16, 3\)"):
        imagenet_cnn(input_shape=(16, 16, 3))
    with pytest.raises(ArgumentError, match="`filters` must be a whole number"):
        mnist_cnn(filters=0)
    with pytest.raises(ArgumentError, match="`pooling` must be one of"):
        mnist_cnn(include_top=False, pooling="sum")
    with pytest.raises(ArgumentError, match=r"`l2` must be a number of at least 0. Received: -1"):
        cifar_cnn(l2=-1)
