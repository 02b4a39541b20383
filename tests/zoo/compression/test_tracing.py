"""Channels followed through a graph: what is cut out of a model changes nothing but what was cut."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import zoo
from tests.zoo.compression.cut_networks import answers, branched, masked, randomised
from zoo.compression.criteria import importances
from zoo.compression.selection import least_important
from zoo.compression.surgery import without_atoms
from zoo.compression.tracing import trace
from zoo.errors import ArgumentError


def cut(model: keras.Model, kind: str, fraction: float) -> tuple[keras.Model, keras.Model]:
    """The cut model and the masked one."""
    parts = trace(model)
    groups = parts.groups(kind)  # type: ignore[arg-type]
    removed = least_important(groups, importances(model, parts, groups, "l2"), fraction)
    return without_atoms(model, parts, removed), masked(model, parts, removed)


@pytest.mark.parametrize("kind", ["filters", "units"])
@pytest.mark.parametrize("fraction", [0.2, 0.6])
def test_a_cut_model_gives_the_numbers_of_the_masked_one(kind: str, fraction: float) -> None:
    """Through sums, concatenations, depthwise convolutions, squeeze and excitation, flattening and shared layers."""
    model = branched()
    small, same = cut(model, kind, fraction)
    assert small.count_params() < model.count_params()
    np.testing.assert_allclose(answers(small), answers(same), atol=1e-6)
    assert np.abs(answers(small) - answers(model)).max() > 1e-3, "the cut changed nothing, so this compares nothing"


def test_what_meets_in_a_sum_goes_together() -> None:
    """A residual sum ties the channels of all that is added; a concatenation does not."""
    groups = {group.name: group.size for group in trace(branched()).groups("filters")}
    assert groups == {"stem+narrow+expand": 8, "reduce": 4, "separable": 6, "shared": 5, "turned": 4}
    assert [group.name for group in trace(branched()).groups("units")] == ["hidden"]


@pytest.mark.parametrize("name", ["mobilenet_v2"])
def test_registered_networks_are_cut_exactly(name: str) -> None:
    """Inverted residuals as Keras builds them."""
    model = randomised(zoo.build(name, num_classes=5, input_shape=(32, 32, 3), seed=1))
    small, same = cut(model, "filters", 0.4)
    assert small.count_params() < 0.6 * model.count_params()
    np.testing.assert_allclose(answers(small), answers(same), atol=1e-5)
    assert np.abs(answers(small) - answers(model)).max() > 1e-3


def test_what_is_not_known_keeps_its_channels() -> None:
    """A normalisation over the channels, grouped convolutions, a softmax over channels and custom layers fix them."""
    layers = keras.layers

    @keras.saving.register_keras_serializable(package="tests")
    class Mixing(layers.Layer):  # type: ignore[misc]
        def call(self, inputs: object) -> object:
            return keras.ops.cumsum(inputs, axis=-1)

    image = keras.Input((4, 4, 3), name="image")
    x = layers.Conv2D(8, 1, name="before_norm")(image)
    x = layers.LayerNormalization(name="norm")(x)
    x = layers.Conv2D(8, 1, groups=2, name="grouped")(layers.Conv2D(8, 1, name="before_groups")(x))
    x = Mixing(name="mixing")(layers.Conv2D(8, 1, name="before_mixing")(x))
    x = layers.Conv2D(8, 1, activation="softmax", name="probabilities")(x)
    x = layers.Conv2D(8, 1, name="free")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, layers.Dense(2, name="predictions")(x), name="kept")
    assert [group.name for group in trace(model).groups("filters")] == ["free"]
    assert trace(model).groups("units") == []


def test_an_activation_of_another_package_is_not_trusted() -> None:
    """A function from elsewhere may look at all channels at once."""
    inputs = keras.Input((4,), name="features")
    x = keras.layers.Dense(8, activation=lambda value: value - keras.ops.mean(value, -1, keepdims=True),
                           name="centred")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, name="predictions")(x))
    assert trace(model).groups("units") == []


def test_a_model_without_a_graph_is_refused() -> None:
    """A subclassed model does not say what leads where."""

    class Own(keras.Model):  # type: ignore[misc]
        def call(self, inputs: object) -> object:
            return inputs

    with pytest.raises(ArgumentError, match="functional"):
        trace(Own())
