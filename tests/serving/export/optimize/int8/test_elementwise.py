"""Activations are known by what they give, in whatever form they are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest
import tensorflow as tf

from serving.export.optimize.edit import GraphEdit
from serving.export.optimize.int8.elementwise import activation_behind
from tests.serving.export.optimize.networks import graph_from

FORMS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "relu": ("Relu", tf.nn.relu), "relu6": ("Relu6", tf.nn.relu6), "elu": ("Elu", tf.nn.elu),
    "tanh": ("Tanh", tf.tanh), "sigmoid": ("Sigmoid", tf.sigmoid),
    "gelu of keras": ("GeluExact", lambda x: keras.activations.gelu(x, approximate=False)),
    "gelu of keras with tanh": ("GeluApproximate", lambda x: keras.activations.gelu(x, approximate=True)),
    "gelu of tensorflow": ("GeluExact", lambda x: tf.nn.gelu(x)),
    "gelu with erf": ("GeluExact", lambda x: 0.5 * (x * (tf.math.erf(x / 1.4142135) + 1.0))),
    "gelu with erfc": ("GeluExact", lambda x: 0.5 * x * tf.math.erfc(-x * 0.70710677)),
    "gelu with tanh": ("GeluApproximate",
                       lambda x: 0.5 * x * (1.0 + tf.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))),
}


def found_in(function: Callable[[Any], Any]) -> tuple[str, Any] | None:
    graph = graph_from(lambda x: tf.identity(function(tf.identity(x, name="summed")), name="out"), None, 4)
    edit = GraphEdit(graph)
    return activation_behind(edit, edit.nodes["summed"])


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_known(form: str) -> None:
    """Its name is the one that TensorFlow's fused products have for it, and its end is what others read."""
    name, function = FORMS[form]
    found = found_in(function)
    assert found is not None
    assert found[0] == name
    graph = graph_from(lambda x: tf.identity(function(x)), None, 4)
    ends = {node.input[0] for node in graph.graph_def.node if node.name == "Identity"}
    assert found[1].name in ends


@pytest.mark.parametrize("function", [
    tf.nn.swish, lambda x: 0.6 * x * (1.0 + tf.math.erf(x / 1.4142135)), tf.nn.softplus, lambda x: x * 2.0,
    lambda x: tf.nn.relu(x) + x, lambda x: tf.nn.relu(x) * tf.reduce_max(x), tf.nn.softmax,
    lambda x: tf.nn.relu(tf.concat([x, x], 0))])
def test_what_no_product_takes_in_is_left(function: Callable[[Any], Any]) -> None:
    """Another function, another reader of what is activated, or a number that is computed: no activation."""
    assert found_in(function) is None


def test_a_sum_that_the_graph_gives_is_seen() -> None:
    """What goes into an activation must not vanish if somebody gets it."""
    graph = graph_from(lambda x: tf.identity(x, name="summed"), None, 4)
    assert activation_behind(GraphEdit(graph), GraphEdit(graph).nodes["summed"]) is None
