from __future__ import annotations

import importlib
from typing import Any

import keras
import numpy as np
import pytest

from tests.zoo.symbolic import without_values
from zoo.building import fresh_names
from zoo.errors import ArgumentError
from zoo.vision.applications import Builder

# One network per family and head: the zoo's builder, Keras's constructor.
NETWORKS = {
    "resnet:resnet50": "ResNet50", "resnet:resnet50_v2": "ResNet50V2", "densenet:densenet121": "DenseNet121",
    "inception:inception_v3": "InceptionV3", "inception:xception": "Xception", "vgg:vgg16": "VGG16",
    "mobilenet:mobilenet_v2": "MobileNetV2", "mobilenet:mobilenet_v3_small": "MobileNetV3Small",
    "mobilenet:mobilenet_v3_large": "MobileNetV3Large", "convnext:convnext_tiny": "ConvNeXtTiny",
    "efficientnet:efficientnet_b0": "EfficientNetB0", "efficientnet:efficientnet_v2_b0": "EfficientNetV2B0",
    "efficientnet:efficientnet_v2_s": "EfficientNetV2S",
}


def builder(path: str) -> Builder:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(f"zoo.vision.{module}"), name)  # type: ignore[no-any-return]


def keras_network(path: str, **options: Any) -> keras.Model:
    return getattr(keras.applications, NETWORKS[path])(weights=None, **options)


def parameter_layers(model: keras.Model) -> list[list[tuple[int, ...]]]:
    return [[tuple(weight.shape) for weight in layer.weights] for layer in model.layers if layer.weights]


# These two have more than a pooling between the trunk and the last layer.
HEADLESS = [(path, False) for path in ("mobilenet:mobilenet_v3_small", "convnext:convnext_tiny")]


@pytest.mark.parametrize(("path", "include_top"), [*((path, True) for path in NETWORKS), *HEADLESS])
def test_layers_with_parameters_stand_as_in_keras(path: str, include_top: bool) -> None:
    """Published files list layers in Keras's order, so ours must have the same shapes in the same order."""
    pooling = None if include_top else "avg"
    with without_values():
        size = builder(path)().input_shape[1]
        ours = builder(path)(include_top=include_top, pooling=pooling)
        theirs = keras_network(path, include_top=include_top, pooling=pooling, input_shape=(size, size, 3))
        assert parameter_layers(ours) == parameter_layers(theirs)
    assert ours.output_shape == theirs.output_shape


def scramble(model: keras.Model) -> list[np.ndarray[Any, Any]]:
    """Moves the vectors (biases, statistics, layer scales) away from 0 and 1, so that a mix-up cannot hide."""
    generator = np.random.default_rng(0)
    return [value + generator.uniform(0.0, 0.2, value.shape).astype(value.dtype) if value.ndim == 1 else value
            for value in model.get_weights()]


@pytest.mark.parametrize(("path", "include_top"), [("mobilenet:mobilenet_v2", True),
                                                   ("mobilenet:mobilenet_v3_small", True),
                                                   ("convnext:convnext_tiny", True), *HEADLESS])
def test_same_parameters_give_keras_s_answers(path: str, include_top: bool) -> None:
    """With Keras's parameters our network computes what Keras's does, with and without the head."""
    image = np.random.default_rng(1).uniform(-1, 1, (2, 32, 32, 3)).astype("float32") * 100
    options = {"include_top": include_top, "pooling": None if include_top else "max", "input_shape": (32, 32, 3)}
    theirs, ours = keras_network(path, **options), builder(path)(**options)
    values = scramble(theirs)
    theirs.set_weights(values)
    ours.set_weights(values)
    expected = theirs(image, training=False)
    assert np.std(expected) > 0
    np.testing.assert_allclose(ours(image, training=False), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("path", ["mobilenet:mobilenet_v3_small", "convnext:convnext_tiny", "vgg:vgg16",
                                  "inception:xception"])
def test_options_are_honoured(path: str) -> None:
    """Class count, logits, picture size, channels, pooling and head dropout do what they say."""
    build = builder(path)
    with without_values():
        model = build(num_classes=7, input_shape=(96, 80, 3), classifier_activation=None, dropout=0.3)
        assert model.input_shape == (None, 96, 80, 3) and model.output_shape == (None, 7)
        assert model.get_layer("predictions").activation is keras.activations.linear
        assert model.get_layer("top_dropout").rate == 0.3
        assert build().get_layer("predictions").activation is keras.activations.softmax
        assert build(input_shape=(96, 96, 1)).input_shape == (None, 96, 96, 1)
        features = build(include_top=False)
        assert len(features.output_shape) == 4 and "predictions" not in [layer.name for layer in features.layers]
        channels = features.output_shape[-1]
        assert build(include_top=False, pooling="avg").output_shape == (None, channels)
        assert build(include_top=False, pooling="max").output_shape == (None, channels)
        assert build(include_top=False, input_shape=(None, None, 3)).output_shape == (None, None, None, channels)


@pytest.mark.parametrize("path", ["inception:inception_v3", "mobilenet:mobilenet_v3_small"])
def test_two_builds_have_the_same_names(path: str) -> None:
    """Networks whose layers Keras numbers get the same names in every build of the zoo."""
    names = []
    for _ in range(2):
        with fresh_names(), without_values():
            names.append([layer.name for layer in builder(path)().layers])
    assert names[0] == names[1] and names[0][0] == "image" and names[0][-1] == "predictions"


def test_wrong_arguments_are_named() -> None:
    """The message says which argument is wrong, what was expected and what came."""
    with pytest.raises(ArgumentError, match=r"at least 32 pixels.*\(16, 16, 3\)"):
        builder("resnet:resnet50")(input_shape=(16, 16, 3))
    with pytest.raises(ArgumentError, match=r"`input_shape` must be \(height, width, channels\).*\(224, 224\)"):
        builder("resnet:resnet50")(input_shape=(224, 224))
    with pytest.raises(ArgumentError, match="known height and width"):
        builder("vgg:vgg16")(input_shape=(None, None, 3))
    with without_values():
        with pytest.raises(ArgumentError, match=r"`pooling` must be one of None, 'avg', 'max'. Received: 'mean'"):
            builder("vgg:vgg16")(include_top=False, pooling="mean")
        with pytest.raises(ArgumentError, match=r"`num_classes` must be a whole number of at least 1. Received: 0"):
            builder("vgg:vgg16")(num_classes=0)
    with pytest.raises(ArgumentError, match=r"`dropout` must be a fraction in \[0, 1\). Received: 1"):
        builder("vgg:vgg16")(dropout=1)


def test_builders_document_themselves() -> None:
    """A builder made from the table has its own name and a docstring with its own numbers."""
    build = builder("inception:xception")
    assert build.__name__ == "xception"
    assert build.__doc__ is not None and "(299, 299, 3) by default, at least 71 pixels" in build.__doc__
