"""A saved model comes back whole: parameters, preprocessing, labels, record; and nothing broken is opened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import zoo
from zoo.bundle_index import INDEX_NAME, is_bundle
from zoo.spec import ImagePreprocessing, TensorPreprocessing, TextPreprocessing

LABELS = ("cat", "dog", "owl")


@pytest.fixture
def model() -> keras.Model:
    return zoo.build("mnist_cnn", labels=LABELS, seed=3)


def answers(model: keras.Model) -> np.ndarray:
    pixels = np.random.default_rng(0).random((2, *model.input_shape[1:]), np.float32)
    return np.asarray(keras.ops.convert_to_numpy(model(pixels, training=False)))


def test_a_model_comes_back_whole(model: keras.Model, tmp_path: Path) -> None:
    """Outputs are bit-equal after saving and loading, and so is the record."""
    zoo.save(model, tmp_path / "m")
    loaded = zoo.load(tmp_path / "m")
    np.testing.assert_array_equal(answers(loaded), answers(model))
    assert zoo.record_of(loaded) == zoo.record_of(model)
    assert zoo.record_of(loaded).labels == LABELS
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]


def test_a_mixed_precision_model_keeps_its_precision(tmp_path: Path) -> None:
    """The dtype policy is part of the architecture and is built again."""
    model = zoo.build("mnist_cnn", dtype="mixed_bfloat16", seed=1)
    loaded = zoo.load(zoo.save(model, tmp_path / "m"))
    assert [layer.compute_dtype for layer in loaded.layers] == [layer.compute_dtype for layer in model.layers]
    np.testing.assert_array_equal(answers(loaded), answers(model))


def test_a_recurrent_network_from_before_word_pieces_comes_back(tmp_path: Path) -> None:
    """A bundle that does not say what its ids stand for has words."""
    words = TextPreprocessing(max_length=4, vocabulary=("good", "bad"))
    model = zoo.build("rnn_text", preprocessing=words, labels=("no", "yes"), seed=1)
    index = zoo.save(model, tmp_path / "m") / INDEX_NAME
    content = json.loads(index.read_text())
    assert content["record"]["arguments"].pop("vocabulary") == "words"
    index.write_text(json.dumps(content))
    loaded = zoo.load(tmp_path / "m")
    tokens = np.array([[2, 3, 1, 0]], "int32")
    np.testing.assert_array_equal(loaded(tokens), model(tokens))
    assert zoo.record_of(loaded).preprocessing == words


def test_an_adopted_model_brings_its_architecture(tmp_path: Path) -> None:
    """A Keras model from elsewhere is saved with its configuration and comes back equal."""
    model = keras.Sequential([keras.Input((4,), name="features"), keras.layers.Dense(3, activation="softmax")])
    zoo.adopt(model, name="mine", input_kind="tabular", task="classification", preprocessing=TensorPreprocessing(),
              labels=LABELS)
    loaded = zoo.load(zoo.save(model, tmp_path / "m"))
    np.testing.assert_array_equal(answers(loaded), answers(model))
    assert not zoo.record_of(loaded).registered


def test_how_an_adopted_model_was_compiled_is_left_out(tmp_path: Path) -> None:
    """An optimizer with a schedule of its own, as training leaves it, does not hinder opening the model."""

    class Own(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __call__(self, step: object) -> float:
            return 0.1

        def get_config(self) -> dict[str, object]:
            return {}

    model = keras.Sequential([keras.Input((4,), name="features"), keras.layers.Dense(3, activation="softmax")])
    zoo.adopt(model, name="mine", input_kind="tabular", task="classification", preprocessing=TensorPreprocessing())
    model.compile(keras.optimizers.SGD(Own()), "sparse_categorical_crossentropy")
    loaded = zoo.load(zoo.save(model, tmp_path / "m"))
    np.testing.assert_array_equal(answers(loaded), answers(model))
    assert not loaded.compiled


def test_labels_must_fit_an_adopted_model() -> None:
    """The class axis and the labels have the same length."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(zoo.ArgumentError, match=r"2 classes .* and 3 labels"):
        zoo.adopt(model, name="mine", input_kind="tabular", task="classification",
                  preprocessing=TensorPreprocessing(), labels=LABELS)


def test_a_lambda_layer_is_not_opened(tmp_path: Path) -> None:
    """Code inside a saved architecture is refused."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2)])
    zoo.adopt(model, name="mine", input_kind="tabular", task="features", preprocessing=TensorPreprocessing())
    zoo.save(model, tmp_path / "m")
    with pytest.raises(zoo.BundleError, match="Lambda layers are refused"):
        zoo.load(tmp_path / "m")


def test_saving_again_replaces_in_one_step_and_leaves_other_files(model: keras.Model, tmp_path: Path) -> None:
    """The new parameters are there, the old file is gone, a file of the user's stays."""
    zoo.save(model, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    model.layers[-1].bias.assign_add(np.ones(3))
    zoo.save(model, tmp_path)
    np.testing.assert_array_equal(answers(zoo.load(tmp_path)), answers(model))
    assert len(list(tmp_path.glob("weights-*"))) == 1
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_damage_is_told(model: keras.Model, tmp_path: Path) -> None:
    """A changed byte, a missing file, a foreign index and a newer format each get their own words."""
    zoo.save(model, tmp_path)
    weights = next(tmp_path.glob("weights-*"))
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(zoo.BundleError, match="is damaged: its sha256 is"):
        zoo.load(tmp_path)
    weights.unlink()
    with pytest.raises(zoo.BundleError, match=r"is missing\. Copy the whole folder again"):
        zoo.load(tmp_path)
    index = json.loads((tmp_path / INDEX_NAME).read_text())
    (tmp_path / INDEX_NAME).write_text(json.dumps(index | {"format": 99}))
    with pytest.raises(zoo.BundleError, match="Update servable-zoo"):
        zoo.load(tmp_path)
    (tmp_path / INDEX_NAME).write_text("[]")
    with pytest.raises(zoo.BundleError, match="is not the index of a saved model"):
        zoo.load(tmp_path)


def test_a_path_outside_the_folder_is_refused(model: keras.Model, tmp_path: Path) -> None:
    """An index cannot make us read a file elsewhere."""
    zoo.save(model, tmp_path)
    index = json.loads((tmp_path / INDEX_NAME).read_text())
    index["files"]["weights"]["name"] = "../secret"
    (tmp_path / INDEX_NAME).write_text(json.dumps(index))
    with pytest.raises(zoo.BundleError, match="outside its own folder"):
        zoo.load(tmp_path)


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    """The message names what would make such a folder."""
    assert not is_bundle(tmp_path)
    with pytest.raises(zoo.BundleError, match=r"zoo train --output"):
        zoo.load(tmp_path)


def test_a_file_in_the_way_is_told(model: keras.Model, tmp_path: Path) -> None:
    """A path that is a file gives one clear error and leaves the file alone."""
    (tmp_path / "f").write_text("x")
    with pytest.raises(zoo.BundleError, match="could not be saved"):
        zoo.save(model, tmp_path / "f")
    assert (tmp_path / "f").read_text() == "x"


SAVE_FOR_EVER = """
import sys, numpy as np, zoo
model = zoo.build("softmax_1000", seed=1)
print("ready", flush=True)
while True:
    model.layers[-1].bias.assign_add(np.ones(1000, "float32"))
    zoo.save(model, sys.argv[1])
"""


def test_a_kill_at_any_moment_leaves_a_whole_model(tmp_path: Path) -> None:
    """kill -9 while saving over a bundle: the old or the new one is there, and loads."""
    first = zoo.build("softmax_1000", seed=1)
    zoo.save(first, tmp_path)
    for delay_seconds in (0.05, 0.31):
        process = subprocess.Popen([sys.executable, "-c", SAVE_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay_seconds)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        bias = zoo.load(tmp_path).layers[-1].bias.value.numpy()
        assert len(set(bias.tolist())) == 1  # every element was counted up by the same number of steps


def test_the_picture_size_travels(tmp_path: Path) -> None:
    """A model built for another picture size comes back with its size and preprocessing."""
    model = zoo.build("cifar_cnn", input_shape=(24, 20, 3), num_classes=2)
    loaded = zoo.load(zoo.save(model, tmp_path))
    preprocessing = zoo.record_of(loaded).preprocessing
    assert isinstance(preprocessing, ImagePreprocessing)
    assert (preprocessing.height, preprocessing.width) == (24, 20)
    assert loaded.input_shape == (None, 24, 20, 3)
