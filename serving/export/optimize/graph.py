"""`ForwardGraph`: what a model computes at inference as a graph with its weights as constants."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from serving.errors import ExportError
from serving.export.servable_module import Rewritten, arranged, portable_recurrence

Array = NDArray[Any]

# A protobuf message ends at 2 GiB, and the signatures' own nodes and assets stand in the same file.
LARGEST_GRAPH_BYTES = 2**31 - 2**27
# What is smaller is rather a shape or a factor than a weight, and the optimisers of a session want to see it.
_SMALLEST_WEIGHT_BYTES = 4096
_MUST_COMPILE = "_XlaMustCompile"
_CONTROL_FLOW = frozenset({"While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase", "For"})


@dataclass(frozen=True)
class ForwardGraph:
    """A forward pass as a graph.

    Attributes:
        graph_def: Its GraphDef; functions in it are plain calls, which the first pass puts in their place.
        inputs: Names of the placeholders by the pinned names of the model's inputs.
        outputs: Names of the output tensors, in the order in which tf.nest flattens the model's outputs; float32.
    """

    graph_def: Any
    inputs: Mapping[str, str]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, model: Any, inputs: Mapping[str, Any]) -> ForwardGraph:
        """Traces a model in inference mode and freezes it.

        Args:
            model: A functional or Sequential keras.Model without tables or files inside.
            inputs: tf.TensorSpec [N, ...] by pinned name, in the order of `model.inputs`.

        Raises:
            ExportError: It is too large for a graph of constants, or has loops or branches, as recurrent layers do.
        """
        weights = sum(variable.dtype.size * variable.shape.num_elements()
                      for variable in (weight.value for weight in model.variables))
        if weights > LARGEST_GRAPH_BYTES:
            raise ExportError(f"its weights take {weights} bytes, and a graph of constants at most "
                              f"{LARGEST_GRAPH_BYTES}")

        def forward(*tensors: Any) -> list[Any]:
            return [tf.cast(tensor, tf.float32) for tensor in
                    tf.nest.flatten(model(arranged(model, list(tensors)), training=False))]

        specs = [tf.TensorSpec(spec.shape, spec.dtype, name=f"input_{place}")
                 for place, spec in enumerate(inputs.values())]
        with portable_recurrence(model):
            concrete = tf.function(forward, input_signature=specs, autograph=False).get_concrete_function()
        for collection in concrete.graph.get_all_collection_keys():
            concrete.graph.clear_collection(collection)  # notes of other work in this process, such as its tables
        frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
        graph_def = frozen.graph.as_graph_def()
        if {node.op for node in _nodes(graph_def)} & _CONTROL_FLOW:
            raise ExportError("it has loops or branches, which stay as they are")
        for holder in (*_nodes(graph_def), *graph_def.library.function):
            holder.attr.pop(_MUST_COMPILE, None)  # a call that XLA must compile is never put in its place
        names = dict(zip(inputs, (tensor.op.name for tensor in frozen.inputs), strict=True))
        return cls(graph_def, names, tuple(tensor.name for tensor in frozen.outputs))

    @property
    def size_bytes(self) -> int:
        """How large the graph is when it is written."""
        return int(self.graph_def.ByteSize())

    def with_graph_def(self, graph_def: Any) -> ForwardGraph:
        """Returns another graph with the same inputs and outputs."""
        return dataclasses.replace(self, graph_def=graph_def)

    def run(self, inputs: Mapping[str, Array], extra: Sequence[str] = (), *, as_written: bool = False) -> list[Array]:
        """Computes the outputs in a session, as a server does.

        Args:
            inputs: Arrays [N, ...] by pinned name.
            extra: Names of further tensors to compute.
            as_written: Whether the session leaves out TensorFlow's own optimisers, which a server runs.

        Returns:
            The outputs and then the further tensors.
        """
        graph = tf.Graph()
        with graph.as_default():
            tf.graph_util.import_graph_def(self.graph_def, name="")
        present = {node.name for node in self.graph_def.node}
        feeds = {f"{self.inputs[name]}:0": array for name, array in inputs.items() if self.inputs[name] in present}
        config = tf.compat.v1.ConfigProto()
        config.graph_options.rewrite_options.disable_meta_optimizer = as_written
        with tf.compat.v1.Session(graph=graph, config=config) as session:
            return list(session.run([*self.outputs, *extra], feeds))

    def as_rewritten(self, *, frozen: bool = True) -> Rewritten:
        """The graph as something to be traced in the model's place.

        Args:
            frozen: Whether weights stay constants. As such they are part of every graph that a server builds, one per
                signature that is called, and oneDNN arranges them once. Otherwise they become variables, which all
                signatures share in memory, and which oneDNN arranges at every call, unless the server is told that
                they never change (TF_ONEDNN_ASSUME_FROZEN_WEIGHTS=1).
        """
        graph_def = type(self.graph_def).FromString(self.graph_def.SerializeToString())
        weights = {} if frozen else _lifted(graph_def)
        return Rewritten(partial(_call, graph_def, self.inputs, self.outputs, weights), tuple(weights.values()))


def _nodes(graph_def: Any) -> list[Any]:
    """The nodes of a GraphDef and of its functions."""
    return [*graph_def.node, *(node for function in graph_def.library.function for node in function.node_def)]


def _call(graph_def: Any, names: Mapping[str, str], outputs: Sequence[str], weights: Mapping[str, Any],
          inputs: Mapping[str, Any], values: Sequence[Any] = ()) -> list[Any]:
    present = {node.name for node in graph_def.node}
    fed = {f"{names[name]}:0": tensor for name, tensor in inputs.items() if names[name] in present}
    # An identity brings a value from outside into a loop's graph, which an import would not.
    read = [tf.identity(value) for value in values] or [tf.convert_to_tensor(value) for value in weights.values()]
    fed |= {f"{name}:0": value for name, value in zip(weights, read, strict=True)}
    return list(tf.graph_util.import_graph_def(graph_def, input_map=fed, return_elements=list(outputs), name="forward"))


def _lifted(graph_def: Any) -> dict[str, Any]:
    """Turns large constants of a graph into placeholders, and returns the variables that feed them by name."""
    variables = {}
    for node in list(graph_def.node):
        if node.op != "Const" or node.attr["value"].ByteSize() < _SMALLEST_WEIGHT_BYTES:
            continue
        value = tf.make_ndarray(node.attr["value"].tensor)
        if value.dtype.fields:  # TensorFlow's quantised numbers, which no variable holds
            node = _as_bytes(graph_def, node)
            value = value.view(np.int8 if node.attr["dtype"].type == tf.int8.as_datatype_enum else np.uint8)
        elif value.dtype == object or (np.issubdtype(value.dtype, np.integer) and value.itemsize > 1):
            continue  # whole numbers of more than a byte are rather shapes and places than weights
        # Named by its node: the order of variables in a checkpoint, and so its bytes, then is that of the graph.
        variables[node.name] = tf.Variable(value, trainable=False, dtype=tf.as_dtype(node.attr["dtype"].type),
                                           name=node.name.replace("/", "_"))
        dtype = node.attr["dtype"].type
        node.op = "Placeholder"
        node.attr.clear()
        node.attr["dtype"].type = dtype
        node.attr["shape"].shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
    return variables


def _as_bytes(graph_def: Any, node: Any) -> Any:
    """Makes a constant of quantised numbers a view of plain bytes; returns the constant of those."""
    dtype = tf.as_dtype(node.attr["dtype"].type)
    plain = tf.int8 if dtype == tf.qint8 else tf.uint8
    held = graph_def.node.add(name=f"{node.name}/bytes", op="Const")
    held.attr["dtype"].type = plain.as_datatype_enum
    node.op = "Bitcast"
    node.attr.clear()
    node.input[:] = [held.name]
    node.attr["T"].type = plain.as_datatype_enum
    node.attr["type"].type = dtype.as_datatype_enum
    return held
