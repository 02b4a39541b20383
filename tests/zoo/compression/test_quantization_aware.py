"""Training for eight bits: what is rounded, what is learned, and that a plain model comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo.training.in_memory import ArrayData, blobs, classifier, pictures, recorded
from zoo.compression.fake_quantization import rounded_activations, rounded_kernel
from zoo.compression.quantization_aware import QuantizationAware
from zoo.errors import ArgumentError
from zoo.spec import record_of
from zoo.training import TrainingConfig, fit
from zoo.training.objective import objective_for
from zoo.training.technique import RunFacts

CONFIG = TrainingConfig(epochs=2, batch_size=16, learning_rate=0.01)


def residual_net(seed: int = 1) -> keras.Model:
    """Convolutions with normalisation, a depthwise one, a residual sum and a head."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(6, 3, padding="same", use_bias=False, name="first")(inputs)
    x = keras.layers.BatchNormalization(name="first_norm")(x)
    x = first = keras.layers.ReLU(name="first_relu")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = keras.layers.Conv2D(6, 1, name="second")(x)
    x = keras.layers.ReLU(name="sum_relu")(keras.layers.Add(name="sum")([x, first]))
    x = keras.layers.Dropout(0.2, name="dropout")(keras.layers.GlobalAveragePooling2D(name="pool")(x))
    outputs = keras.layers.Dense(2, activation="softmax", name="predictions")(x)
    return recorded(keras.Model(inputs, outputs, name="residual"), "classification")


def facts(model: keras.Model, data: ArrayData, config: TrainingConfig = CONFIG) -> RunFacts:
    record = record_of(model)
    return RunFacts(record=record, config=config, objective=objective_for(model, record, data, config), steps=3)


def numbers(model: keras.Model) -> list[np.ndarray]:
    return [variable.numpy() for variable in model.variables]


def test_a_layer_computes_with_rounded_numbers() -> None:
    """Inside, a dense net is the one computed by hand from rounded inputs and kernels; outside it is plain."""
    model, data = classifier(), blobs()
    x = data.train.inputs  # type: ignore[union-attr]
    plain = model(x, training=False).numpy()
    with QuantizationAware().applied(model, facts(model, data)):
        inside = model(x, training=False).numpy()

    hidden, head = model.get_layer("hidden"), model.get_layer("predictions")

    def product(rows: Any, layer: Any) -> Any:
        low, high = tf.minimum(tf.reduce_min(rows), 0.0), tf.reduce_max(rows)
        return rounded_activations(rows, low, high, shifted=True) @ rounded_kernel(layer.kernel.value) + layer.bias

    inner = model.get_layer("normalization")(tf.nn.relu(product(tf.constant(x), hidden)))
    by_hand = tf.nn.softmax(product(inner, head))
    np.testing.assert_allclose(inside, by_hand, atol=1e-5)
    assert np.abs(inside - plain).max() > 1e-4
    np.testing.assert_array_equal(model(x, training=False), plain)


def test_a_tensor_is_rounded_once_for_all_that_read_it(tmp_path: Path) -> None:
    """The ranges are those of the tensors that integer kernels read, under the name of what makes them."""
    model = residual_net()
    before = model.get_config(), len(model.variables)
    fit(model, pictures(), CONFIG, tmp_path, techniques=(QuantizationAware(),))
    known = record_of(model).training["quantization"]

    assert list(known["ranges"]) == ["first:input", "first_relu", "depthwise", "pool"]
    assert known["layers"] == ["first", "depthwise", "second", "predictions"]
    assert known["ranges"]["first:input"][0] < 0 < known["ranges"]["first:input"][1]
    assert known["ranges"]["first_relu"][0] == 0 < known["ranges"]["first_relu"][1]
    assert (model.get_config(), len(model.variables)) == before


def test_a_paused_run_ends_with_the_numbers_of_an_uninterrupted_one(tmp_path: Path) -> None:
    """Parameters and ranges go on where they were, to the bit."""
    whole, parted, data = residual_net(), residual_net(), pictures()
    expected = fit(whole, data, CONFIG, tmp_path / "whole", techniques=(QuantizationAware(),))
    fit(parted, data, CONFIG, tmp_path / "parted", techniques=(QuantizationAware(),), pause=lambda end: end.epoch == 1)
    parted = residual_net(seed=7)
    report = fit(parted, data, CONFIG, tmp_path / "parted", techniques=(QuantizationAware(),))

    assert report.history == expected.history
    for left, right in zip(numbers(whole), numbers(parted), strict=True):
        np.testing.assert_array_equal(left, right)
    assert record_of(whole).training["quantization"] == record_of(parted).training["quantization"]


@pytest.mark.parametrize("statistics", ["kept", "learned"])
def test_normalisation_keeps_its_statistics(tmp_path: Path, statistics: Any) -> None:
    """Kept statistics do not move although scale and offset learn; learned ones move."""
    model = classifier()
    norm = model.get_layer("normalization")
    mean, scale = norm.moving_mean.numpy(), norm.gamma.numpy()
    fit(model, blobs(), CONFIG.replace(epochs=1), tmp_path, techniques=(QuantizationAware(statistics=statistics),))
    assert (norm.moving_mean.numpy() == mean).all() == (statistics == "kept")
    assert (norm.gamma.numpy() != scale).any()


def test_rounding_costs_less_after_it_was_trained_for(tmp_path: Path) -> None:
    """A net whose channels differ in size loses by rounding, and most of that comes back by training for it."""
    data = blobs(256, 4, validation=96, spread=0.5)
    model = classifier(4, dropout=0.0)
    fit(model, data, CONFIG.replace(epochs=8), tmp_path / "plain")
    # One unit of a thousand times the size decides the range; the units behind it have a handful of steps left.
    hidden, norm = model.get_layer("hidden"), model.get_layer("normalization")
    hidden.kernel.assign(hidden.kernel.numpy() * np.r_[200.0, np.ones(15)].astype("float32"))
    norm.moving_variance.assign(norm.moving_variance.numpy() / np.r_[np.ones(8), np.full(8, 4.0)])

    rounded = _rounded_loss(model, data)
    fit(model, data, CONFIG.replace(epochs=6, learning_rate=0.003), tmp_path / "aware",
        techniques=(QuantizationAware(),))
    assert _rounded_loss(model, data) < 0.7 * rounded


def _rounded_loss(model: keras.Model, data: ArrayData) -> float:
    split = data.validation
    assert split is not None
    with QuantizationAware().applied(model, facts(model, data)):
        outputs = model(split.inputs, training=False).numpy()
    return float(-np.log(outputs[np.arange(split.count), split.targets] + 1e-7).mean())


def test_what_cannot_be_trained_for_eight_bits_is_refused(tmp_path: Path) -> None:
    """A model without such layers, adapters beside kernels, an unknown word."""
    inputs = keras.Input((4,))
    bare = recorded(keras.Model(inputs, keras.layers.Softmax(name="predictions")(
        keras.layers.LayerNormalization()(inputs)), name="bare"), "classification")
    with pytest.raises(ArgumentError, match="no dense layer and no convolution"):
        fit(bare, blobs(classes=4), CONFIG, tmp_path, techniques=(QuantizationAware(),))
    with (pytest.raises(ArgumentError, match="lora_rank"),
          QuantizationAware().applied(bare, facts(classifier(), blobs(), CONFIG.replace(lora_rank=2)))):
        pass
    with pytest.raises(ArgumentError, match="statistics"):
        QuantizationAware(statistics="frozen")  # type: ignore[arg-type]
