"""Which graphs may be served under TF_ONEDNN_ASSUME_FROZEN_WEIGHTS=1, and what the server does about the others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from serving.fixed_weights import VARIABLE, changing_weights, only_products_change
from serving.server.servable import load_servable
from tests.serving.tiny_models import save

ROWS = tf.TensorSpec([None, 8], tf.float32, name="x")
PICTURES = tf.TensorSpec([None, 9, 9, 4], tf.float32, name="x")


class Weighted(tf.Module):
    """A way to use weights [8, 8], given as a function of them, the rows and a bias; called through a function."""

    def __init__(self, use: Any, spec: Any = ROWS) -> None:
        super().__init__()
        self.weights = tf.Variable(tf.random.stateless_normal([8, 8], seed=(1, 2)))
        self.bias = tf.ones([8])
        inner = tf.function(lambda x: use(self, x), autograph=False)
        self.predict = tf.function(lambda x: {"y": inner(x)}, input_signature=[spec], autograph=False)


def dense(module: Weighted, x: Any) -> Any:
    return tf.nn.relu(tf.nn.bias_add(x @ module.weights, module.bias))


def computed(module: Weighted, x: Any) -> Any:
    return tf.nn.bias_add(x @ (module.weights * tf.reduce_mean(x)), module.bias)


def without_bias(module: Weighted, x: Any) -> Any:
    return tf.nn.relu(x @ (module.weights * tf.reduce_mean(x)))


def looped(module: Weighted, x: Any) -> Any:
    return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, dense(module, y)), (0, x))[1]


def by_turn(module: Weighted, x: Any) -> Any:
    def body(i: Any, y: Any) -> Any:
        return i + 1, tf.nn.bias_add(y @ (module.weights * tf.cast(i, tf.float32)), module.bias)

    return tf.while_loop(lambda i, y: i < 3, body, (0, x))[1]


def learning(module: Weighted, x: Any) -> Any:
    module.weights.assign_add(tf.ones([8, 8]))
    return dense(module, x)


def filtered(module: Weighted, x: Any) -> Any:
    filters = tf.reshape(tf.reduce_mean(x) * module.weights[:4], [1, 1, 4, 8])
    return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, filters, 1, "SAME"), module.bias))


def changing_of(folder: Path) -> tuple[str, ...]:
    content = (folder / "saved_model.pb").read_bytes()
    return changing_weights(saved_model_pb2.SavedModel.FromString(content).meta_graphs[0])


@pytest.mark.parametrize("use", [dense, without_bias, looped])
def test_weights_that_stay_are_known(use: Any, tmp_path: Path) -> None:
    """Variables, also through functions and loops, never change; a product without a bias keeps nothing."""
    assert changing_of(save(Weighted(use), tmp_path / "1")) == ()


@pytest.mark.parametrize(("use", "spec", "products"), [(computed, ROWS, True), (by_turn, ROWS, True),
                                                       (learning, ROWS, True), (filtered, PICTURES, False)])
def test_weights_that_change_are_found(use: Any, spec: Any, products: bool, tmp_path: Path) -> None:
    """Weights from the request, from a loop's counter, or of a variable that is written are named."""
    changing = changing_of(save(Weighted(use, spec), tmp_path / "1"))
    assert changing
    assert only_products_change(changing) is products


def test_what_cannot_be_told_changes(tmp_path: Path) -> None:
    """A node whose source is missing counts as changing, because a wrong yes would be a wrong answer."""
    folder = save(Weighted(dense), tmp_path / "1")
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    for function in saved.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            if node.op == "MatMul":
                node.input[1] = "nowhere:value:0"
    assert changing_weights(saved.meta_graphs[0])


def test_a_server_answers_rightly_whatever_the_weights_are(tmp_path: Path) -> None:
    """Under the assumption, a plain session answers with stale weights; ours is right, or refuses the version."""
    save(Weighted(computed), tmp_path / "computed")
    save(Weighted(filtered, PICTURES), tmp_path / "filtered")
    program = f"""
import os, sys
from pathlib import Path
from serving.server.lean_tensorflow import import_tensorflow_without_keras
import_tensorflow_without_keras()
import numpy as np, tensorflow as tf
from serving.errors import ModelLoadError
from serving.server.servable import load_servable
assert os.environ[{VARIABLE!r}] == "1"
root = Path(sys.argv[1])
rows = [np.full((64, 8), value, np.float32) for value in (1, 2, 3)]
servable = load_servable("m", 1, root / "computed")
answers = [servable.run("serving_default", {{"x": x}}, ["y"])["y"] for x in rows]
for x, y in zip(rows, answers):
    # The weights are multiplied by the rows' mean, and so is each row: squares of 1, 2 and 3.
    np.testing.assert_allclose(y - 1, (answers[0] - 1) * x[0, 0] ** 2, rtol=1e-4)
session = tf.compat.v1.Session(graph=tf.Graph())
with session.graph.as_default():
    meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(root / "computed"))
signature = meta_graph.signature_def["serving_default"]
stale = [session.run(signature.outputs["y"].name, {{signature.inputs["x"].name: x}}) for x in rows]
print("STALE", bool(np.abs(stale[2] - answers[2]).max() > 0.1))
try:
    load_servable("m", 1, root / "filtered")
except ModelLoadError as error:
    print("REFUSED", error)
"""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, timeout=180,
                          env=environment)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "REFUSED" in done.stdout
    assert f"{VARIABLE}=0" in done.stdout
    assert "Conv2D" in done.stdout


def test_nothing_is_assumed_beside_other_code(tmp_path: Path) -> None:
    """Where the server shares a process with training, weights do change, so the variable stays as it was."""
    before = os.environ.get(VARIABLE)
    load_servable("m", 1, save(Weighted(dense), tmp_path / "1")).close()
    assert os.environ.get(VARIABLE) == before
