"""The forward pass inside a SavedModel: where it is, and another computation in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from serving.errors import UnsupportedRequestError
from serving.server.forward_function import forward_function_of, put_in_place, reads_variables
from serving.server.servable import load_servable
from tests.serving.tiny_models import Echo, save

ROWS = tf.TensorSpec([None, 2], tf.float32, name="left"), tf.TensorSpec([None, 2], tf.float32, name="right")


class Nested(tf.Module):
    """Two inputs and two outputs, handed down and up in other orders; a check of the inputs; a text signature."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
        self.zeros = tf.zeros([100, 2])  # large enough to become an argument of the function

    @tf.function(autograph=False)
    def inner(self, right, left):
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(left >= 0), ["negative"])]):
            return {"difference": (left - right) @ self.weights + self.zeros[0], "again": tf.identity(left)}

    @tf.function(input_signature=ROWS, autograph=False)
    def predict(self, left, right):
        answer = self.inner(right, left)
        return {"kept": answer["again"], "zz": answer["difference"]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False)
    def lengths(self, text):
        size = tf.cast(tf.strings.length(text), tf.float32)[:, None] * tf.ones([1, 2])
        return {"value": self.inner(size * 0, size)["difference"] + 1}


@pytest.fixture
def version(tmp_path: Path) -> Path:
    module = Nested()
    return save(module, tmp_path / "1", serving_default=module.predict, lengths=module.lengths)


def read(folder: Path) -> Any:
    return saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())


def test_the_innermost_function_is_found(version: Path) -> None:
    """Inputs and outputs go by the signature's names in the function's own order."""
    forward = forward_function_of(read(version).meta_graphs[0])
    assert "inner" in forward.name
    assert forward.inputs == ("right", "left")
    assert sorted(forward.outputs) == ["kept", "zz"]


def test_another_computation_answers_all_signatures(version: Path) -> None:
    """What is put in place is asked by every signature, after the graph's own checks, and no weight is read."""
    saved = read(version)
    meta_graph = saved.meta_graphs[0]
    forward = forward_function_of(meta_graph)
    asked: list[tuple[Any, Any]] = []

    def compute(right: Any, left: Any) -> list[Any]:
        asked.append((right, left))
        answers = {"kept": left, "zz": np.full_like(left, 7)}
        return [answers[name] for name in forward.outputs]

    assert reads_variables(meta_graph)
    kept = put_in_place(meta_graph, forward, compute)
    assert not reads_variables(meta_graph)
    (version / "saved_model.pb").write_bytes(saved.SerializeToString())
    servable = load_servable("m", 1, version)
    rows = {"left": np.array([[1, 2]], np.float32), "right": np.zeros([1, 2], np.float32)}
    answers = servable.run("serving_default", rows, ["kept", "zz"])
    assert answers["kept"].tolist() == [[1, 2]]
    assert answers["zz"].tolist() == [[7, 7]]
    assert servable.run("lengths", {"text": np.array([b"abc"], object)}, ["value"])["value"].tolist() == [[8, 8]]
    assert [left.tolist() for _, left in asked] == [[[1, 2]], [[3, 3]]]
    with pytest.raises(tf.errors.InvalidArgumentError, match="negative"):
        servable.run("serving_default", rows | {"left": -rows["left"]}, ["zz"])
    assert len(asked) == 2
    servable.close()
    del kept


def test_strings_are_not_for_another_runtime(tmp_path: Path) -> None:
    """A default signature of strings is refused with that reason."""
    with pytest.raises(UnsupportedRequestError, match="strings"):
        forward_function_of(read(save(Echo(), tmp_path / "1")).meta_graphs[0])
