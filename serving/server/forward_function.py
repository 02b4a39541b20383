"""The part of a SavedModel that another runtime can compute: found, cut out, and called in its place.

Exports of this project, as those of Keras, reach the model itself through functions that only pass tensors on. The
innermost of them, seen from the default signature, is the forward pass; other signatures, which read pictures or texts,
call the same one. Its body is taken out and a call of ours put in, so everything around it stays TensorFlow's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import tensorflow as tf

from serving.errors import UnsupportedRequestError
from serving.protocol.signatures import DEFAULT_SIGNATURE

_CALLS: Final = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_READS: Final = frozenset({"ReadVariableOp", "ResourceGather", "ResourceGatherNd"})
_INIT_SIGNATURE: Final = "__saved_model_init_op"
_OURS: Final = "another_runtime"

Arrays = Sequence[Any]


@dataclass(frozen=True)
class ForwardFunction:
    """A function of a graph that computes what the default signature answers.

    Attributes:
        name: Its name in the library.
        inputs: Names of the signature's inputs, in the order in which the function takes them.
        outputs: Names of the signature's outputs, in the order in which the function gives them.
        arguments: What the function calls its inputs, in the same order; others are variables and constants.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    arguments: tuple[str, ...]


def forward_function_of(meta_graph: Any) -> ForwardFunction:
    """Finds the forward pass.

    Args:
        meta_graph: A MetaGraphDef.

    Returns:
        It.

    Raises:
        UnsupportedRequestError: The default signature takes or gives strings, or is no call of a function.
    """
    if DEFAULT_SIGNATURE not in meta_graph.signature_def:
        raise UnsupportedRequestError(f"there is no signature {DEFAULT_SIGNATURE!r}")
    signature = meta_graph.signature_def[DEFAULT_SIGNATURE]
    kinds = {tensor.dtype for tensor in (*signature.inputs.values(), *signature.outputs.values())}
    if tf.string.as_datatype_enum in kinds:
        raise UnsupportedRequestError(f"the signature {DEFAULT_SIGNATURE!r} takes or gives strings")
    functions = {function.signature.name: function for function in meta_graph.graph_def.library.function}
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    fed = {_parts(tensor.name)[0]: name for name, tensor in signature.inputs.items()}
    given = {name: tensor.name for name, tensor in signature.outputs.items()}
    found = None
    while (call := _only_call(nodes, given, functions)) is not None:
        function = functions[call.attr["f"].func.name]
        given = {name: function.ret[function.signature.output_arg[_place(nodes, tensor)].name]
                 for name, tensor in given.items()}
        sources = [_source(nodes, tensor) for tensor in call.input if not tensor.startswith("^")]
        fed = {argument.name: fed[source]
               for argument, source in zip(function.signature.input_arg, sources, strict=True) if source in fed}
        nodes = {node.name: node for node in function.node_def}
        found = function
    if found is None:
        raise UnsupportedRequestError("the graph of the default signature is not a function")
    places = {tensor: name for name, tensor in given.items()}
    outputs = tuple(places.get(found.ret[argument.name], "") for argument in found.signature.output_arg)
    arguments = tuple(argument.name for argument in found.signature.input_arg if argument.name in fed)
    inputs = tuple(fed[name] for name in arguments)
    if "" in outputs or len(inputs) != len(signature.inputs):
        raise UnsupportedRequestError("the forward pass has other inputs or outputs than the default signature")
    return ForwardFunction(found.signature.name, inputs, outputs, arguments)


def put_in_place(meta_graph: Any, forward: ForwardFunction, compute: Callable[..., Arrays]) -> Any:
    """Replaces the body of the forward pass by a call of a Python function.

    What the graph checks about its inputs is still checked before.

    Args:
        meta_graph: The MetaGraphDef; it is changed.
        forward: Of `forward_function_of`.
        compute: From the inputs' arrays to the outputs' arrays, in the order of `forward`.

    Returns:
        What must be kept for as long as the graph is run.
    """
    library = meta_graph.graph_def.library.function
    function = next(one for one in library if one.signature.name == forward.name)
    arguments = [argument for argument in function.signature.input_arg if argument.name in forward.arguments]
    graph = tf.Graph()
    with graph.as_default():
        feeds = [tf.compat.v1.placeholder(tf.as_dtype(argument.type)) for argument in arguments]
        kinds = [tf.as_dtype(argument.type) for argument in function.signature.output_arg]
        tf.numpy_function(compute, feeds, kinds, stateful=True, name=_OURS)
    call = next(node for node in graph.as_graph_def().node if node.op in ("PyFunc", "PyFuncStateless"))
    checks = _checks(function, {one.signature.name: one for one in library})
    kept = _with_sources(function, checks)
    call.name = _OURS
    del call.input[:]
    call.input.extend([*(argument.name for argument in arguments), *(f"^{name}" for name in checks)])
    del function.node_def[:]
    function.node_def.extend([*kept, call])
    function.control_ret.clear()
    del function.signature.control_output[:]
    function.signature.is_stateful = True
    for place, argument in enumerate(function.signature.output_arg):
        function.ret[argument.name] = f"{_OURS}:output:{place}"
    _make_stateful(meta_graph.graph_def, forward.name)
    return graph


def reads_variables(meta_graph: Any) -> bool:
    """Whether a signature of the graph reads a variable."""
    functions = {function.signature.name: function for function in meta_graph.graph_def.library.function}
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    waiting = [_parts(tensor.name)[0] for name, signature in meta_graph.signature_def.items()
               if name != _INIT_SIGNATURE for tensor in signature.outputs.values()]
    seen: set[str] = set()
    called: list[str] = []
    while waiting:
        name = waiting.pop()
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        if nodes[name].op in _READS:
            return True
        waiting += [_parts(source)[0] for source in nodes[name].input]
        called += _functions_of(nodes[name], functions)
    entered: set[str] = set()
    while called:
        name = called.pop()
        if name in entered:
            continue
        entered.add(name)
        for node in functions[name].node_def:
            if node.op in _READS:
                return True
            called += _functions_of(node, functions)
    return False


def _only_call(nodes: Mapping[str, Any], given: Mapping[str, str], functions: Mapping[str, Any]) -> Any:
    """The one call that all the outputs come from; None where they come from elsewhere."""
    sources = {_source(nodes, tensor) for tensor in given.values()}
    if len(sources) != 1:
        return None
    node = nodes.get(sources.pop())
    return node if node is not None and node.op in _CALLS and node.attr["f"].func.name in functions else None


def _origin(nodes: Mapping[str, Any], tensor: str) -> str:
    name = _parts(tensor)[0]
    while name in nodes and nodes[name].op == "Identity":
        tensor = nodes[name].input[0]
        name = _parts(tensor)[0]
    return tensor


def _source(nodes: Mapping[str, Any], tensor: str) -> str:
    return _parts(_origin(nodes, tensor))[0]


def _place(nodes: Mapping[str, Any], tensor: str) -> int:
    return _parts(_origin(nodes, tensor))[1]


def _parts(tensor: str) -> tuple[str, int]:
    """Node and output of "node", "node:1" or, in a function, "node:output:1"."""
    name, *rest = tensor.removeprefix("^").split(":")
    return name, int(rest[-1]) if rest else 0


def _functions_of(node: Any, functions: Mapping[str, Any]) -> list[str]:
    names = [node.op] + [value.func.name for value in node.attr.values() if value.HasField("func")]
    names += [function.name for value in node.attr.values() for function in value.list.func]
    return [name for name in names if name in functions]


def _checks(function: Any, functions: Mapping[str, Any]) -> list[str]:
    """The nodes of a function that refuse wrong inputs."""
    return [node.name for node in function.node_def
            if node.op == "Assert" or any(inner.op == "Assert" for name in _functions_of(node, functions)
                                          for inner in functions[name].node_def)]


def _with_sources(function: Any, names: Sequence[str]) -> list[Any]:
    nodes = {node.name: node for node in function.node_def}
    needed: dict[str, Any] = {}
    waiting = list(names)
    while waiting:
        name = _parts(waiting.pop())[0]
        if name in nodes and name not in needed:
            needed[name] = nodes[name]
            waiting += nodes[name].input
    return [type(node).FromString(node.SerializeToString()) for node in function.node_def if node.name in needed]


def _make_stateful(graph_def: Any, name: str) -> None:
    """Makes all calls that lead to a function calls of something that may not be left out."""
    names, size = {name}, 0
    while size != len(names):
        size = len(names)
        for function in graph_def.library.function:
            for node in function.node_def:
                if node.op in _CALLS and node.attr["f"].func.name in names:
                    node.op = "StatefulPartitionedCall"
                    function.signature.is_stateful = True
                    names.add(function.signature.name)
    for node in graph_def.node:
        if node.op in _CALLS and node.attr["f"].func.name in names:
            node.op = "StatefulPartitionedCall"
