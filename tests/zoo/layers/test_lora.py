"""Adapters fold into their kernels for saving and exporting, and come back to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import zoo
from zoo.layers.lora import merged_lora
from zoo.spec import TensorPreprocessing

layers = keras.layers


def adapted() -> keras.Model:
    """Every kind of layer that Keras gives adapters, with adapters that change something."""
    tokens = keras.Input((5,), dtype="int32", name="tokens")
    x = layers.Embedding(11, 6, name="embedding")(tokens)
    x = layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 3), bias_axes="de", name="einsum")(x)
    x = layers.Reshape((5, 6), name="flat")(x)
    x = layers.Conv1D(4, 2, name="conv")(x)
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    model = keras.Model(tokens, layers.Dense(3, name="predictions")(x), name="adapted")
    for name, alpha in (("embedding", 3.0), ("einsum", None), ("conv", None), ("predictions", 8.0)):
        model.get_layer(name).enable_lora(2, lora_alpha=alpha)
    generator = np.random.default_rng(1)
    for variable in model.variables:
        if "lora" in variable.path:
            variable.assign(generator.normal(size=variable.shape))
    return model


TOKENS = np.arange(20).reshape(4, 5) % 11


def numbers(model: keras.Model) -> list[np.ndarray[Any, Any]]:
    return [variable.numpy() for variable in model.variables]


def test_folded_adapters_change_no_answer() -> None:
    """With them folded in the model answers the same, has its plain variables, and says nothing of adapters."""
    model = adapted()
    expected = model(TOKENS).numpy()
    without = {layer.name: layer.lora_enabled for layer in model.layers if hasattr(layer, "lora_enabled")}
    assert all(without.values())
    with merged_lora(model):
        np.testing.assert_allclose(model(TOKENS), expected, atol=1e-5, rtol=1e-5)
        assert not [variable.path for variable in model.variables if "lora" in variable.path]
        assert all(layer.get_config().get("lora_rank") is None for layer in model.layers)


def test_training_can_go_on() -> None:
    """Afterwards every variable has its value and place, also when the work inside failed."""
    model = adapted()
    before, paths = numbers(model), [variable.path for variable in model.trainable_variables]
    with pytest.raises(ZeroDivisionError), merged_lora(model):
        _ = 1 / 0
    assert [variable.path for variable in model.trainable_variables] == paths
    for old, new in zip(before, numbers(model), strict=True):
        np.testing.assert_array_equal(old, new)
    model.compile("sgd", "mse", jit_compile=False)
    kernel = model.get_layer("predictions")._kernel.numpy()
    model.train_on_batch(TOKENS, np.zeros((4, 3), np.float32))
    np.testing.assert_array_equal(model.get_layer("predictions")._kernel.numpy(), kernel)
    assert np.abs(model.get_layer("predictions").lora_kernel_b.numpy() - before[-1]).max() > 0


def test_a_saved_model_has_plain_kernels(tmp_path: Path) -> None:
    """A bundle opens without adapters and answers as the adapted model did, registered or not."""
    adopted = zoo.adopt(adapted(), name="adapted", input_kind="sequence", task="regression",
                        preprocessing=TensorPreprocessing())
    loaded = zoo.load(zoo.save(adopted, tmp_path / "adopted"))
    assert not [variable.path for variable in loaded.variables if "lora" in variable.path]
    np.testing.assert_allclose(loaded(TOKENS), adopted(TOKENS), atol=1e-5, rtol=1e-5)
    built = zoo.build("mlp_binary", input_shape=(3,), seed=1)
    built.get_layer("predictions").enable_lora(1)
    built.get_layer("predictions").lora_kernel_b.assign(np.ones((1, 1)))
    rows = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    expected = built(rows).numpy()
    np.testing.assert_allclose(zoo.load(zoo.save(built, tmp_path / "built"))(rows), expected, atol=1e-6)
    np.testing.assert_array_equal(built(rows).numpy(), expected)
