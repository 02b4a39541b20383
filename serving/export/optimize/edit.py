"""`GraphEdit`: a forward pass whose nodes can be found, changed and put in order again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving.export.optimize.graph import ForwardGraph

Array = NDArray[Any]


class GraphEdit:
    """Changes to a copy of a graph.

    Args:
        graph: The graph; it stays as it is.

    Attributes:
        nodes: NodeDefs by name.
    """

    def __init__(self, graph: ForwardGraph) -> None:
        self._graph = graph
        self._copy = type(graph.graph_def).FromString(graph.graph_def.SerializeToString())
        self.nodes: dict[str, Any] = {node.name: node for node in self._copy.node}
        self._outputs = {node_of(name) for name in graph.outputs}
        self._consumers: dict[str, dict[str, None]] = {}
        for node in self.nodes.values():
            self._note_inputs(node)

    # === Looking ===

    def of_kind(self, *ops: str) -> Iterator[Any]:
        """Yields the nodes of some operations, in the graph's order; what is added meanwhile is not met."""
        for name in [node.name for node in self.nodes.values() if node.op in ops]:
            if name in self.nodes and self.nodes[name].op in ops:
                yield self.nodes[name]

    def source(self, node: Any, place: int) -> Any:
        """The node that computes one of a node's inputs."""
        return self.nodes[node_of(node.input[place])]

    def constant(self, tensor: str) -> Array | None:
        """The value of a tensor, or None if it is computed at run time."""
        node = self.nodes[node_of(tensor)]
        while node.op == "Identity":
            node = self.source(node, 0)
        return np.asarray(tf.make_ndarray(node.attr["value"].tensor)) if node.op == "Const" else None

    def consumers(self, node: Any) -> list[Any]:
        """The nodes that take something from a node, control dependencies included."""
        return [self.nodes[name] for name in self._consumers.get(node.name, {})]

    def is_output(self, node: Any) -> bool:
        """Whether the graph gives what a node computes."""
        return node.name in self._outputs

    def has_one_consumer(self, node: Any) -> bool:
        """Whether exactly one node takes what a node computes, and nobody else sees it."""
        return not self.is_output(node) and len(self.consumers(node)) == 1

    # === Changing ===

    def add_constant(self, name: str, value: Array) -> str:
        """Adds a constant and returns its name, which may get a number for it to be a new one."""
        node = self._copy.node.add(name=self._free(name), op="Const")
        node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        self.nodes[node.name] = node
        return str(node.name)

    def add(self, name: str, op: str, inputs: Sequence[str], attributes: Mapping[str, Any]) -> Any:
        """Adds a node and returns it; its name may get a number for it to be a new one.

        Args:
            name: The name.
            op: The operation.
            inputs: Its tensors.
            attributes: AttrValues by name.
        """
        node = self._copy.node.add(name=self._free(name), op=op)
        for key, value in attributes.items():
            node.attr[key].CopyFrom(value)
        self.nodes[node.name] = node
        self.set_inputs(node, inputs)
        return node

    def set_inputs(self, node: Any, inputs: Sequence[str]) -> None:
        """Makes a node take other tensors; its control dependencies stay."""
        kept = [name for name in node.input if name.startswith("^")]
        for name in node.input:
            self._consumers.get(node_of(name), {}).pop(node.name, None)
        node.input[:] = [*inputs, *kept]
        self._note_inputs(node)

    def become(self, node: Any, op: str, inputs: Sequence[str], attributes: Mapping[str, Any]) -> None:
        """Makes a node another operation under its old name; its `T` stays.

        Args:
            node: The node.
            op: The operation.
            inputs: Its tensors.
            attributes: AttrValues by name.
        """
        kept = type(node.attr["T"]).FromString(node.attr["T"].SerializeToString())
        node.op = op
        node.attr.clear()
        node.attr["T"].CopyFrom(kept)
        for name, value in attributes.items():
            node.attr[name].CopyFrom(value)
        self.set_inputs(node, inputs)

    def bypass(self, node: Any, tensor: str) -> None:
        """Gives a tensor to all that took a node's only output; the graph's own outputs keep their name."""
        if node.name in self._outputs:
            self.become(node, "Identity", [tensor], {})
            return
        for consumer in self.consumers(node):
            taken = [tensor if name in (node.name, f"{node.name}:0") else name
                     for name in consumer.input if not name.startswith("^")]
            self.set_inputs(consumer, taken)
        if not self.consumers(node):
            self.set_inputs(node, [])
            del self.nodes[node.name]

    def finished(self) -> ForwardGraph:
        """The graph as it is now, without what no output needs, each node behind what it takes."""
        ordered = type(self._copy)()
        ordered.versions.CopyFrom(self._copy.versions)
        ordered.node.extend(self.nodes[name] for name in self._in_order())
        if any(_names_functions(node) for node in ordered.node):
            ordered.library.CopyFrom(self._copy.library)
        return self._graph.with_graph_def(ordered)

    def _free(self, name: str) -> str:
        free, number = name, 0
        while free in self.nodes:
            number += 1
            free = f"{name}_{number}"
        return free

    def _note_inputs(self, node: Any) -> None:
        for name in node.input:
            self._consumers.setdefault(node_of(name), {})[node.name] = None

    def _in_order(self) -> Iterator[str]:
        """Names by a walk from the outputs, so that the order is a matter of the graph alone."""
        done: set[str] = set()
        for output in self._graph.outputs:
            waiting = [(node_of(output), False)]
            while waiting:
                name, ready = waiting.pop()
                if name in done:
                    continue
                if ready:
                    done.add(name)
                    yield name
                    continue
                waiting.append((name, True))
                waiting += [(node_of(source), False) for source in reversed(self.nodes[name].input)]


def _names_functions(node: Any) -> bool:
    return any(value.HasField("func") or len(value.list.func) for value in node.attr.values())


def node_of(tensor: str) -> str:
    """The name of the node that computes a tensor, or that a control dependency names."""
    return tensor.lstrip("^").split(":")[0]


def in_order(graph: ForwardGraph) -> ForwardGraph:
    """A graph with only what its outputs need, in an order of its own, on no device, and its constants as plain memory.

    TensorFlow's optimisers leave nodes in an order that changes from process to process, and 16-bit constants as one
    number of up to three bytes each.
    """
    edit = GraphEdit(graph)
    for node in edit.nodes.values():
        node.device = ""  # those of this machine
    for node in edit.of_kind("Const"):
        tensor = node.attr["value"].tensor
        if max(len(tensor.half_val), len(tensor.float_val)) > 1:  # one alone stands for a tensor full of it
            tensor.CopyFrom(type(tensor)(dtype=tensor.dtype, tensor_shape=tensor.tensor_shape,
                                         tensor_content=tf.make_ndarray(tensor).tobytes()))
    return edit.finished()
