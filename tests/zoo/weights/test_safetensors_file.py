from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from zoo.errors import WeightsError
from zoo.weights.head import head_rule
from zoo.weights.safetensors_file import load_safetensors, save_safetensors, variable_keys


def small_dense(classes: int = 3, width: int = 4, dtype: str | None = None) -> keras.Model:
    image = keras.Input((5,), name="features")
    x = keras.layers.Dense(width, name="hidden", dtype=dtype)(image)
    return keras.Model(image, keras.layers.Dense(classes, name="predictions", dtype=dtype)(x), name="small")


def everything() -> keras.Model:
    """Layers whose variables are hard to name: cells, copies, nested models, states, statistics."""
    sequence = keras.Input((4, 3), name="sequence")
    x = keras.layers.LSTM(3, return_sequences=True, dropout=0.1, name="first")(sequence)
    x = keras.layers.Bidirectional(keras.layers.GRU(2, return_sequences=True), name="both")(x)
    x = keras.layers.RNN([keras.layers.LSTMCell(2), keras.layers.LSTMCell(3)], return_sequences=True, name="deep")(x)
    x = keras.layers.MultiHeadAttention(2, 2, dropout=0.1, name="attention")(x, x)
    x = keras.Sequential([keras.Input((4, 3)), keras.layers.Dense(3), keras.layers.Dense(3)], name="inner")(x)
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Dropout(0.5)(x))
    x = keras.layers.Embedding(7, 2, name="words")(keras.layers.Flatten()(keras.layers.Activation("sigmoid")(x)))
    normalization = keras.layers.Normalization(name="standard")
    x = keras.layers.Dense(2, name="predictions")(normalization(keras.layers.Flatten()(x)))
    return keras.Model(sequence, x, name="everything")


def randomise(model: keras.Model, seed: int = 0) -> keras.Model:
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        values = generator.uniform(0.1, 1.0, variable.shape) * (1 if "float" in variable.dtype else 100)
        variable.assign(values.astype("float32").astype(variable.dtype))
    return model


def values_of(model: keras.Model) -> list[np.ndarray[Any, Any]]:
    return [variable.value.numpy() for variable in model.variables]


def equal(one: keras.Model, other: keras.Model) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(values_of(one), values_of(other), strict=True))


def test_every_variable_comes_back(tmp_path: Path) -> None:
    """Cells, both directions, nested models, BatchNorm statistics, generator states and Normalization are restored,
    and the outputs are equal bit by bit."""
    model = randomise(everything())
    report = load_safetensors(fresh := everything(), save_safetensors(model, tmp_path / "a.safetensors"))
    assert len(report.assigned) == len(model.variables)
    assert equal(model, fresh)
    x = np.random.default_rng(1).random((2, 4, 3), dtype=np.float32)
    fresh.get_layer("standard").finalize_state()
    model.get_layer("standard").finalize_state()
    np.testing.assert_array_equal(model.predict_on_batch(x), fresh.predict_on_batch(x))


def test_keys_do_not_depend_on_what_was_built_before() -> None:
    """Keras numbers unnamed layers over the process; the keys of two builds are the same, and readable."""
    first, second = list(variable_keys(everything())), list(variable_keys(everything()))
    assert first == second
    assert len(set(first)) == len(first)
    for key in ("first/lstm_cell/kernel", "both/forward_gru/gru_cell/bias", "inner/dense/kernel",
                "inner/dense_1/kernel", "norm/moving_variance", "seed_generator/seed_generator_state"):
        assert key in first


def test_keys_do_not_depend_on_training(tmp_path: Path) -> None:
    """Freezing and compiling change neither the keys nor the bytes; an optimizer's state is not saved."""
    model = randomise(small_dense())
    before = save_safetensors(model, tmp_path / "a").read_bytes()
    model.layers[1].trainable = False
    model.compile("adam", "mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    assert save_safetensors(model, tmp_path / "b").read_bytes() == before


def test_variables_of_one_path_get_keys_of_their_own(tmp_path: Path) -> None:
    """Two nested models with layers of one name share Keras paths; their variables are told apart."""
    feature = keras.Input((2,), name="features")
    x = feature
    for _ in range(2):
        x = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="same")], name="part")(x) \
            if x is feature else keras.layers.Dense(2, name="tail")(x)
    model = keras.Model(feature, x)
    twin = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="same")], name="part")
    both = keras.Model(feature, keras.layers.Add()([model(feature), twin(feature)]))
    keys = list(variable_keys(both))
    assert len(set(keys)) == len(keys) == 6
    randomise(both)
    before = values_of(both)
    path = save_safetensors(both, tmp_path / "a")
    randomise(both, 5)
    load_safetensors(both, path)
    assert all(np.array_equal(a, b) for a, b in zip(before, values_of(both), strict=True))


PROGRAM = """
import hashlib, sys
from pathlib import Path
from tests.zoo.weights.test_safetensors_file import everything, randomise
from zoo.weights.safetensors_file import save_safetensors
if len(sys.argv) > 2:
    everything()
print(hashlib.sha256(save_safetensors(randomise(everything()), Path(sys.argv[1])).read_bytes()).hexdigest())
"""


def test_equal_parameters_give_equal_bytes_in_every_process(tmp_path: Path) -> None:
    """A second process with another hash seed and another history writes the same file."""
    here = save_safetensors(randomise(everything()), tmp_path / "a").read_bytes()
    there = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path / "b"), "more"], check=True, text=True,
                           capture_output=True, env={**os.environ, "PYTHONHASHSEED": "77"})
    assert there.stdout.split()[-1] == hashlib.sha256(here).hexdigest()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_bfloat16", "float64"])
def test_widths_of_floats(dtype: str, tmp_path: Path) -> None:
    """Each float type is stored as it is, comes back exactly, and is converted for a model of another type."""
    model = randomise(small_dense(dtype=dtype))
    path = save_safetensors(model, tmp_path / "a")
    stored = "float32" if dtype == "mixed_bfloat16" else dtype
    assert {str(array.dtype) for array in safetensors.numpy.load_file(path).values()} == {stored}
    load_safetensors(same := small_dense(dtype=dtype), path)
    assert equal(model, same)
    load_safetensors(full := small_dense(), path)
    expected = np.asarray(values_of(model)[0], dtype="float32")
    np.testing.assert_array_equal(values_of(full)[0], expected)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_whole_numbers_of_quantised_models(tmp_path: Path) -> None:
    """The int8 kernels of a quantised model are stored as int8 and come back exactly."""
    def quantised() -> keras.Model:
        model = small_dense(width=8)
        for layer in model.layers[1:]:
            layer.quantize("int8")
        return model
    model = quantised()
    path = save_safetensors(model, tmp_path / "a")
    assert "int8" in {str(array.dtype) for array in safetensors.numpy.load_file(path).values()}
    load_safetensors(other := quantised(), path)
    assert equal(model, other)


def test_every_difference_is_listed_and_nothing_is_changed(tmp_path: Path) -> None:
    """A file of another model names every variable that does not fit, and leaves the model as it was."""
    path = save_safetensors(small_dense(width=7), tmp_path / "a.safetensors")
    model = small_dense()
    before = values_of(model)
    with pytest.raises(WeightsError) as caught:
        load_safetensors(model, path)
    for name in ("hidden/kernel expected [5, 4]", "hidden/bias", "predictions/kernel"):
        assert name in str(caught.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, values_of(model), strict=True))
    with pytest.raises(WeightsError, match="missing in the file"):
        load_safetensors(everything(), path)


def test_only_with_a_rule_may_the_head_differ(tmp_path: Path) -> None:
    """A saved model must fit wholly; published weights may have another number of classes."""
    path = save_safetensors(randomise(small_dense(classes=9)), tmp_path / "a")
    with pytest.raises(WeightsError, match="predictions/kernel"):
        load_safetensors(small_dense(), path)
    model = small_dense()
    assert set(load_safetensors(model, path, rule=head_rule(model)).reinitialised) == {"predictions/kernel",
                                                                                       "predictions/bias"}


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 8 + b"{", b"\x02" + b"\0" * 7 + b"{}"])
def test_broken_files_are_refused(content: bytes, tmp_path: Path) -> None:
    """A file that is cut short or something else is one clear error."""
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(WeightsError, match=r"cannot be read as a safetensors file|missing in the file"):
        load_safetensors(small_dense(), tmp_path / "a")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_safetensors(small_dense(), tmp_path / "none")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    """Half a file is no file."""
    path = save_safetensors(small_dense(), tmp_path / "a")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError, match="cannot be read"):
        load_safetensors(small_dense(), path)


def test_saving_replaces_in_one_step(tmp_path: Path) -> None:
    """A failed save leaves the old file and no rest of the new one."""
    path = save_safetensors(small_dense(), tmp_path / "a")
    before = path.read_bytes()
    unbuilt = keras.Sequential([keras.layers.Dense(2)])
    with pytest.raises(WeightsError, match="no variables yet"):
        save_safetensors(unbuilt, path)
    with pytest.raises(FileNotFoundError):
        save_safetensors(small_dense(), tmp_path / "missing" / "a")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_the_header_is_plain_json(tmp_path: Path) -> None:
    """Any other safetensors reader opens the file; its header says who wrote it."""
    data = save_safetensors(small_dense(), tmp_path / "a").read_bytes()
    header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
    assert header.pop("__metadata__") == {"format": "servable-zoo"}
    assert sorted(header) == ["hidden/bias", "hidden/kernel", "predictions/bias", "predictions/kernel"]
    assert header["hidden/kernel"]["dtype"] == "F32"


def test_foreign_bfloat16_files_load(tmp_path: Path) -> None:
    """A file that another program wrote in bfloat16 fits a float32 model of the same keys."""
    keys = variable_keys(small_dense())
    arrays = {key: np.ones(variable.shape, ml_dtypes.bfloat16) for key, variable in keys.items()}
    safetensors.numpy.save_file(arrays, tmp_path / "a")
    load_safetensors(model := small_dense(), tmp_path / "a")
    assert all((array == 1).all() for array in values_of(model))
