from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo import hub_modules
from zoo.errors import ArgumentError, ChecksumError, WeightsError
from zoo.layers import HubLayer
from zoo.weights.saved_model_folder import content_sha256

TEXTS = tf.constant(["good film", "bad", "", "never seen"])
PICTURES = np.random.default_rng(0).random((6, 4, 4, 3)).astype("float32")


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modules")
    hub_modules.save_text(folder / "text")
    hub_modules.save_image(folder / "image")
    hub_modules.save_pair(folder / "pair")
    return folder


def classifier(layer: HubLayer) -> keras.Model:
    inputs = keras.Input((4, 4, 3), name="image")
    outputs = keras.layers.Dense(2, activation="softmax", name="predictions", kernel_initializer="ones")(layer(inputs))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model


def values(layer: HubLayer) -> list[np.ndarray]:
    return [np.array(variable.value.numpy()) for variable in layer.weights]


def fitted(model: keras.Model) -> None:
    model.fit(PICTURES, np.arange(6) % 2, batch_size=6, epochs=1, verbose=0)


def test_it_computes_what_the_module_computes(modules: Path) -> None:
    """Eagerly, functional and Sequential, the numbers are those of the loaded SavedModel."""
    loaded = tf.saved_model.load(str(modules / "text"))
    expected = loaded(TEXTS).numpy()
    layer = HubLayer(str(modules / "text"))
    inputs = keras.Input((), dtype="string", name="text")
    for found in (layer(TEXTS), keras.Model(inputs, layer(inputs))(TEXTS),
                  keras.Sequential([keras.Input((), dtype="string"), HubLayer(str(modules / "text"))])(TEXTS)):
        np.testing.assert_array_equal(found, expected)


def test_the_output_s_shape_is_known_before_it_is_run(modules: Path) -> None:
    """Dimensions that the module fixes are known, the batch stays open, and dicts stay dicts."""
    outputs = HubLayer(str(modules / "image"))(keras.Input((None, None, 3)))
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in outputs.items()} == {
        "default": ((None, 5), "float32"), "doubled": ((None, 5), "float32")}


def test_a_trainable_module_is_trained(modules: Path) -> None:
    """A step changes the kernel and the moving mean; the mean by the module's own rule, not by the optimizer."""
    layer = HubLayer(str(modules / "image"), trainable=True, output_key="default")
    model = classifier(layer)
    assert [variable.path for variable in layer.trainable_weights] == [f"{layer.name}/conv_kernel"]
    kernel, mean = values(layer)
    fitted(model)
    assert np.abs(values(layer)[0] - kernel).max() > 1e-4
    np.testing.assert_allclose(values(layer)[1], 0.5 * mean + 0.5 * (PICTURES.mean((1, 2)) @ kernel).mean(0), rtol=1e-5)


def test_a_frozen_module_stays_as_it_is(modules: Path) -> None:
    """Frozen from the start or later, nothing of it changes, and it runs in inference mode while the head trains."""
    layer = HubLayer(str(modules / "image"), output_key="default")
    model = classifier(layer)
    for trainable in (False, True, False):
        layer.trainable = trainable
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        before = values(layer)
        fitted(model)
        changed = [bool((one != other).any()) for one, other in zip(before, values(layer), strict=True)]
        assert changed == [trainable, trainable]
        assert len(model.trainable_weights) == 2 + trainable


def test_regularization_losses_count_in_training_only(modules: Path) -> None:
    """The module's own penalty is added to the loss where it is trained."""
    layer = HubLayer(str(modules / "image"), trainable=True)
    layer(PICTURES, training=True)
    np.testing.assert_allclose(layer.losses, [0.5 * (values(layer)[0] ** 2).sum()], rtol=1e-6)
    frozen = HubLayer(str(modules / "image"))
    frozen(PICTURES, training=True)
    assert frozen.losses == []


def test_dicts_in_and_out(modules: Path) -> None:
    """An encoder takes its inputs by name, in any order and whole-number type, and gives its outputs by name."""
    layer = HubLayer(str(modules / "pair"))
    ids, mask = np.array([[1, 2, 0], [3, 4, 5]]), np.array([[1, 1, 0], [1, 1, 1]])
    found = layer({"input_mask": tf.constant(mask, tf.int64), "input_word_ids": tf.constant(ids, tf.int64)})
    np.testing.assert_allclose(found["pooled_output"], (layer.weights[0].numpy()[ids] * mask[..., None]).sum(1),
                               rtol=1e-6)
    chosen = HubLayer(str(modules / "pair"), output_key="sequence_output")
    tensors = {name: keras.Input((None,), dtype="int32", name=name) for name in ("input_word_ids", "input_mask")}
    assert chosen(tensors).shape == (None, None, 4)


def test_signatures(modules: Path) -> None:
    """A signature takes tensors by name or the only one, and gives a dict or the only output."""
    text = HubLayer(str(modules / "text"), signature="serving_default")
    np.testing.assert_array_equal(text(TEXTS), HubLayer(str(modules / "text"))(TEXTS))
    image = HubLayer(str(modules / "image"), signature="serving_default", output_key="doubled")
    np.testing.assert_allclose(image({"inputs": PICTURES}), 2 * HubLayer(str(modules / "image"))(PICTURES)["default"])
    with pytest.raises(ArgumentError, match=r"takes inputs\. Received: pictures"):
        image({"pictures": PICTURES})


def test_a_keras_file_finds_the_module_again(modules: Path, tmp_path: Path) -> None:
    """In safe mode, without a lambda: weights, handle and sha256 are in the file, and all answers are equal."""
    model = classifier(HubLayer(str(modules / "image"), trainable=True, output_key="default"))
    fitted(model)
    model.save(tmp_path / "m.keras")
    found = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    np.testing.assert_array_equal(found(PICTURES), model(PICTURES))
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        layer = json.loads(archive.read("config.json"))["config"]["layers"][1]["config"]
    assert layer["handle"] == str(modules / "image")
    assert layer["sha256"] == content_sha256(modules / "image")
    fitted(found)  # the optimizer goes on with the variables of the new layer


def test_another_module_under_the_same_handle_is_refused(tmp_path: Path) -> None:
    """What was saved with one module is not loaded with another, though the shapes fit."""
    folder = hub_modules.save_text(tmp_path / "text")
    model = keras.Sequential([keras.Input((), dtype="string"), HubLayer(str(folder))])
    model.save(tmp_path / "m.keras")
    (folder / "assets").joinpath(next((folder / "assets").iterdir()).name).write_text("bad\ngood\nfilm\n")
    with pytest.raises(ChecksumError, match="now leads to another SavedModel than the one"):
        keras.models.load_model(tmp_path / "m.keras")


def test_keras_own_export_finds_the_tables(modules: Path, tmp_path: Path) -> None:
    """`model.export` writes the vocabulary along, and the result runs without the module."""
    model = keras.Sequential([keras.Input((), dtype="string"), HubLayer(str(modules / "text"))])
    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_array_equal(loaded.serve(TEXTS), model(TEXTS))
    assert [path.read_text().split() for path in (tmp_path / "exported" / "assets").iterdir()] == \
        [list(hub_modules.WORDS)]


def test_two_modules_in_one_model_have_variables_of_their_own(modules: Path) -> None:
    """The same module twice: two sets of variables, with different paths."""
    first, second = (HubLayer(str(modules / "text"), trainable=True) for _ in range(2))
    inputs = keras.Input((), dtype="string")
    model = keras.Model(inputs, first(inputs) + second(inputs))
    assert len({variable.path for variable in model.trainable_variables}) == 2
    first.weights[0].assign(np.zeros((4, 8)))
    assert np.abs(second.weights[0].numpy()).max() > 0


def test_archives_are_handles(modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packed module is unpacked into the cache, and keeps the sha256 of the folder."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    layer = HubLayer(str(hub_modules.packed(modules / "text", tmp_path / "text.tar.gz")))
    np.testing.assert_array_equal(layer(TEXTS), HubLayer(str(modules / "text"))(TEXTS))
    assert layer.sha256 == content_sha256(modules / "text")


def save(module: tf.Module, folder: Path, **options: Any) -> str:
    tf.saved_model.save(module, str(folder), **options)
    return str(folder)


class Methods(tf.Module):
    """Has methods and no call of its own."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.int32)])
    def scale(self, numbers: Any, times: Any) -> Any:
        return numbers * tf.cast(times, tf.float32)


def test_methods_and_arguments(tmp_path: Path) -> None:
    """A method is called by name with further arguments, and both survive a file."""
    folder = save(Methods(), tmp_path / "methods")
    layer = HubLayer(folder, method="scale", arguments={"times": 3})
    np.testing.assert_array_equal(layer(tf.constant([1.0, 2.0])), [3.0, 6.0])
    again = HubLayer.from_config(json.loads(json.dumps(layer.get_config())))
    np.testing.assert_array_equal(again(tf.constant([1.0, 2.0])), [3.0, 6.0])
    with pytest.raises(ArgumentError, match=r"is not callable\. Choose one of its signatures"):
        HubLayer(folder)
    with pytest.raises(ArgumentError, match="has no method 'scaled'"):
        HubLayer(folder, method="scaled")


def test_mistakes_are_told(modules: Path) -> None:
    """A wrong signature, output, input or handle is one line with what there is."""
    with pytest.raises(ArgumentError, match=r"no signature 'default'\. It has: serving_default"):
        HubLayer(str(modules / "text"), signature="default")
    with pytest.raises(ArgumentError, match=r"no output 'pooled'\. It has: default, doubled"):
        HubLayer(str(modules / "image"), output_key="pooled")(PICTURES)
    with pytest.raises(ArgumentError, match="one tensor, so `output_key` has nothing to choose"):
        HubLayer(str(modules / "text"), output_key="default")(TEXTS)
    with pytest.raises(ArgumentError, match=r"Expected string \(None,\)\. Received float32 \(6, 4, 4, 3\)"):
        HubLayer(str(modules / "text"))(PICTURES)
    with pytest.raises(WeightsError, match="neither an existing path nor an address"):
        HubLayer(str(modules / "none"))


def test_modules_in_the_format_of_tensorflow_1(tmp_path: Path) -> None:
    """They run by signature; trained and exported are those whose variables can be reached, others say so."""
    ones = np.ones((1, 4, 4, 3), "float32")
    layer = HubLayer(str(hub_modules.save_tf1(tmp_path / "new", resources=True)), signature="default", trainable=True)
    assert [variable.path for variable in layer.trainable_weights] == [f"{layer.name}/kernel"]
    assert layer.export_resources == ()
    old = str(hub_modules.save_tf1(tmp_path / "old", resources=False))
    np.testing.assert_array_equal(HubLayer(old, signature="default")(ones), layer(ones))
    with pytest.raises(ArgumentError, match="no variables that training could change"):
        HubLayer(old, signature="default", trainable=True)
    with pytest.raises(WeightsError, match="whose variables cannot be exported"):
        HubLayer(old, signature="default").export_resources  # noqa: B018


def test_mixed_precision_leaves_the_module_alone(modules: Path) -> None:
    """The module computes in its own dtype whatever the policy says."""
    layer = HubLayer(str(modules / "image"), output_key="default", dtype="mixed_bfloat16")
    found = layer(tf.constant(PICTURES, tf.bfloat16))
    assert found.dtype == tf.float32
    assert {variable.dtype for variable in layer.weights} == {"float32"}
