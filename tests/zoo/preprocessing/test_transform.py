"""The transforms inside a SavedModel, in a process that has neither keras nor zoo."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.zoo.preprocessing import pictures
from zoo.errors import ArgumentError
from zoo.preprocessing.image import ImageTransform
from zoo.preprocessing.image_modes import image_mode
from zoo.preprocessing.tabular import TabularTransform
from zoo.preprocessing.text import TextTransform
from zoo.preprocessing.transform import TensorTransform, transform_for
from zoo.spec import Column, ImagePreprocessing, TabularPreprocessing, TensorPreprocessing, TextPreprocessing

FILES = tuple(pictures.kinds().values())
TEXTS = ("The café don\u2019t close", "", "好 3 unknown words and more words than five", b"bad \xff bytes")
TABLE = {"age": np.array([20.5, np.nan, 61.0], np.float32), "colour": np.array(["red", "?", "blue"])}
RECORDS = {
    "crop": image_mode("torch", 32, 24, resize="crop", crop_fraction=0.875, interpolation="bicubic"),
    "pad": image_mode("caffe", 20, 41, resize="pad", interpolation="area"),
    "stretch": ImagePreprocessing(height=28, width=28, channels=1, scale=1 / 255),
    "text": TextPreprocessing(max_length=5, vocabulary=("the", "don't", "café", "好", "3")),
    "table": TabularPreprocessing(columns=(Column(name="age", mean=40.1, std=9.9), Column(
        name="colour", kind="categorical", categories=("blue", "red")))),
}

# Plays TensorFlow Serving: the session loader, tag "serve", nothing but TensorFlow.
SESSION_LOADER = """
import sys
for name in ("keras", "zoo", "tf_keras"):
    sys.modules[name] = None
import numpy as np, tensorflow as tf
folder = sys.argv[1]
for name, feeds in np.load(folder + "/feeds.npz", allow_pickle=True)["feeds"].item().items():
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        model = tf.compat.v1.saved_model.load(session, ["serve"], f"{folder}/{name}")
        signature = model.signature_def["serving_default"]
        tensors = {key: session.graph.get_tensor_by_name(info.name) for key, info in signature.inputs.items()}
        output = signature.outputs["output"].name
        results = {}
        for case, values in feeds.items():
            try:
                results[case] = session.run(output, {tensors[key]: value for key, value in values.items()})
            except tf.errors.InvalidArgumentError as error:
                results[case] = np.array("INVALID_ARGUMENT " + error.message)
        np.savez(f"{folder}/{name}.npz", **results)
"""


class Served(tf.Module):
    """What an export looks like: a tf.Module with the transform as an attribute."""

    def __init__(self, transform: Any, names: tuple[str, ...], dtypes: tuple[Any, ...], call: Callable[..., Any]):
        super().__init__()
        self.transform = transform
        specs = [tf.TensorSpec([None], dtype, name=name) for name, dtype in zip(names, dtypes, strict=True)]
        self.serve = tf.function(lambda *tensors: {"output": call(*tensors)}, input_signature=specs, autograph=False)


def module_of(name: str) -> Served:
    transform = transform_for(RECORDS[name])
    if isinstance(transform, ImageTransform):
        return Served(transform, ("image_bytes",), (tf.string,), transform.batch_from_bytes)
    if isinstance(transform, TextTransform):
        return Served(transform, ("text",), (tf.string,), transform.batch)
    return Served(transform, ("age", "colour"), (tf.float32, tf.string),
                  lambda age, colour: transform.batch({"age": age, "colour": colour}))


def feeds_of(name: str) -> dict[str, dict[str, np.ndarray]]:
    """Per case what is fed: all rows, none, and a bad one where there can be one."""
    if name == "table":
        full = TABLE | {"colour": TABLE["colour"].astype(object)}
        return {"all": full, "none": {key: values[:0] for key, values in full.items()}}
    key, values = ("text", TEXTS) if name == "text" else ("image_bytes", FILES)
    full = np.array(values, object)
    cases = {"all": {key: full}, "none": {key: full[:0]}}
    return cases if name == "text" else cases | {"bad": {key: np.array([FILES[0], b"no picture"], object)}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the SavedModels and what the session loader got out of them."""
    folder = tmp_path_factory.mktemp("served")
    for name in RECORDS:
        module = module_of(name)
        tf.saved_model.save(module, str(folder / name), signatures={"serving_default": module.serve})
    np.savez(folder / "feeds.npz", feeds=np.array({name: feeds_of(name) for name in RECORDS}, object))
    done = subprocess.run([sys.executable, "-c", SESSION_LOADER, str(folder)], capture_output=True, text=True,
                          cwd=folder, env={**os.environ, "PYTHONPATH": ""}, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def eager(name: str) -> np.ndarray:
    transform = transform_for(RECORDS[name])
    if isinstance(transform, ImageTransform):
        return np.stack([transform.from_bytes(file).numpy() for file in FILES])
    return transform.batch(TABLE if name == "table" else tf.constant(TEXTS)).numpy()


@pytest.mark.parametrize("name", RECORDS)
def test_the_session_loader_gives_the_training_bits(served: Path, name: str) -> None:
    """TensorFlow Serving's loader, without keras and zoo, gives the numbers of the training process to the bit."""
    with np.load(served / f"{name}.npz") as results:
        np.testing.assert_array_equal(results["all"], eager(name))


@pytest.mark.parametrize("name", RECORDS)
def test_a_reloaded_saved_model_gives_the_training_bits(served: Path, name: str) -> None:
    """tf.saved_model.load brings the tables along."""
    loaded = tf.saved_model.load(str(served / name))
    feeds = {key: tf.constant(values) for key, values in feeds_of(name)["all"].items()}
    np.testing.assert_array_equal(loaded.signatures["serving_default"](**feeds)["output"].numpy(), eager(name))


@pytest.mark.parametrize("name", RECORDS)
def test_an_empty_batch_is_served(served: Path, name: str) -> None:
    """No rows in, no rows out, of the right shape."""
    with np.load(served / f"{name}.npz") as results:
        assert results["none"].shape == (0, *eager(name).shape[1:])


@pytest.mark.parametrize("name", ["crop", "pad", "stretch"])
def test_a_bad_picture_is_an_invalid_argument_when_served(served: Path, name: str) -> None:
    """The reason reaches the caller."""
    with np.load(served / f"{name}.npz") as results:
        assert str(results["bad"]).startswith("INVALID_ARGUMENT")
        assert "Unknown picture format" in str(results["bad"])


@pytest.mark.parametrize("name", RECORDS)
def test_only_ops_of_stock_tensorflow_are_used(served: Path, name: str) -> None:
    """No Python function and no XLA is in the graph."""
    content = saved_model_pb2.SavedModel.FromString((served / name / "saved_model.pb").read_bytes())
    model = content.meta_graphs[0]
    ops = {node.op for node in model.graph_def.node} | {
        node.op for function in model.graph_def.library.function for node in function.node_def}
    assert len(ops) > 10
    assert not {op for op in ops if "PyFunc" in op or op.startswith("Xla")}
    assert not any(function.attr["_XlaMustCompile"].b for function in model.graph_def.library.function)


@pytest.mark.parametrize(("record", "kind"), [
    (RECORDS["crop"], ImageTransform), (RECORDS["text"], TextTransform), (RECORDS["table"], TabularTransform),
    (TensorPreprocessing(), TensorTransform),
])
def test_each_record_has_its_transform(record: Any, kind: type[Any]) -> None:
    """The object is a tf.Module that knows its record."""
    transform = transform_for(record)
    assert isinstance(transform, kind) and isinstance(transform, tf.Module)
    assert transform.spec == record


def test_tensors_pass_as_float32() -> None:
    """A model that takes tensors gets them unchanged, as float32."""
    rows = TensorTransform(TensorPreprocessing()).batch(np.array([[1, 2]]))
    assert rows.dtype == tf.float32 and rows.numpy().tolist() == [[1.0, 2.0]]


def test_something_else_is_refused() -> None:
    """The message says what was expected."""
    with pytest.raises(ArgumentError, match=r"Expected an ImagePreprocessing.*Received: 'resize'"):
        transform_for("resize")  # type: ignore[arg-type]
