"""Nodes can be found, changed and taken out, and what is left is a whole graph in an order of its own."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from serving.export.optimize.edit import GraphEdit, in_order, node_of
from serving.export.optimize.graph import ForwardGraph
from tests.serving.export.optimize.networks import graph_from


def shifted(x: object) -> object:
    return tf.nn.relu(tf.add(tf.multiply(x, 2.0, name="twice"), 1.0, name="plus"), name="out")


@pytest.fixture
def graph() -> ForwardGraph:
    return graph_from(shifted, None, 3)


def test_a_node_is_bypassed(graph: ForwardGraph) -> None:
    """Its readers take the other tensor, it is gone, and what it alone read is gone as well."""
    edit = GraphEdit(graph)
    edit.bypass(edit.nodes["plus"], "twice")
    assert "plus" not in edit.nodes
    assert [node.name for node in edit.consumers(edit.nodes["twice"])] == ["out"]
    assert edit.has_one_consumer(edit.nodes["twice"])
    result = edit.finished()
    np.testing.assert_allclose(result.run({"x": np.float32([[1, -2, 3]])})[0], [[2, 0, 6]])
    assert {node.name for node in result.graph_def.node} == {"x", "twice", "twice/y", "out"}
    assert len(graph.graph_def.node) == 6, "the graph that was given stays as it is"


def test_an_output_keeps_its_name_when_it_is_bypassed(graph: ForwardGraph) -> None:
    """Whoever asked for the output's name still finds it."""
    edit = GraphEdit(graph)
    edit.bypass(edit.nodes["out"], "plus")
    result = edit.finished()
    assert result.outputs == ("out:0",)
    np.testing.assert_allclose(result.run({"x": np.float32([[1, -2, 3]])})[0], [[3, -3, 7]])


def test_the_output_is_read_by_somebody_else(graph: ForwardGraph) -> None:
    """What the graph itself gives is never taken for something that only one node reads."""
    edit = GraphEdit(graph)
    assert not edit.has_one_consumer(edit.nodes["out"])


def test_control_dependencies_stay() -> None:
    """What must run before a node still does after its inputs have changed."""
    def build(x: object) -> object:
        three = tf.constant(3.0)  # made here, it does not take the dependency upon itself
        check = tf.debugging.Assert(tf.reduce_all(tf.less(x, 100.0)), ["too large"], name="check")
        with tf.control_dependencies([check]):
            return tf.multiply(x, three, name="out")

    edit = GraphEdit(graph_from(build, None))
    edit.set_inputs(edit.nodes["out"], ["x", edit.add_constant("out/y", np.float32(5))])
    result = edit.finished()
    assert result.run({"x": np.float32([2])})[0].tolist() == [10]
    with pytest.raises(tf.errors.InvalidArgumentError, match="too large"):
        result.run({"x": np.float32([200])})


def test_constants_are_found_through_identities(graph: ForwardGraph) -> None:
    """A weight behind an Identity is a constant; a new constant never takes a name that is taken."""
    edit = GraphEdit(graph_from(lambda x: x * tf.identity(tf.constant([1.0, 2.0])), None, 2))
    node, = edit.of_kind("Mul")
    assert edit.constant(node.input[0]) is None
    np.testing.assert_array_equal(edit.constant(node.input[1]), [1, 2])
    names = [edit.add_constant("new", np.float32(number)) for number in range(3)]
    assert len(set(names)) == 3
    assert [edit.constant(name) for name in names] == [0, 1, 2]


def test_the_order_is_a_matter_of_the_graph(graph: ForwardGraph) -> None:
    """The same nodes in any order become the same bytes, each node behind what it reads, on no device."""
    turned = type(graph.graph_def)()
    turned.versions.CopyFrom(graph.graph_def.versions)
    turned.node.extend(reversed(graph.graph_def.node))
    for node in turned.node:
        node.device = "/device:CPU:0"
    results = [in_order(each).graph_def for each in (graph, graph.with_graph_def(turned))]
    assert results[0].SerializeToString(deterministic=True) == results[1].SerializeToString(deterministic=True)
    seen: set[str] = set()
    for node in results[0].node:
        assert {node_of(name) for name in node.input} <= seen
        seen.add(node.name)


def test_constants_become_plain_memory() -> None:
    """A constant of 16-bit numbers takes two bytes each, and a constant full of one number stays short."""
    graph = graph_from(lambda x: x + tf.cast(tf.constant(np.arange(256), tf.bfloat16), tf.float32) + tf.zeros(256),
                       None, 1)
    for node in graph.graph_def.node:
        if node.op == "Const" and node.attr["dtype"].type == tf.bfloat16.as_datatype_enum:
            values = [int(value) for value in np.frombuffer(node.attr["value"].tensor.tensor_content, np.uint16)]
            node.attr["value"].tensor.ClearField("tensor_content")
            node.attr["value"].tensor.half_val[:] = values
    packed = in_order(graph)
    assert packed.size_bytes < graph.size_bytes
    sizes = {node.attr["dtype"].type: len(node.attr["value"].tensor.tensor_content)
             for node in packed.graph_def.node if node.op == "Const"}
    assert sizes[tf.bfloat16.as_datatype_enum] == 512


def test_a_node_is_added_under_a_new_name(graph: ForwardGraph) -> None:
    """It is read like any other, and a name that is taken gets a number."""
    edit = GraphEdit(graph)
    added = edit.add("twice", "Neg", ["plus"], {"T": tf.compat.v1.AttrValue(type=tf.float32.as_datatype_enum)})
    edit.set_inputs(edit.nodes["out"], [added.name])
    assert added.name == "twice_1"
    np.testing.assert_allclose(edit.finished().run({"x": np.float32([[1, -2, 3]])})[0], [[0, 3, 0]])
