"""Graphs whose rows are computed in parts, side by side, as graphs that compute all rows at once.

Exports call the model in a loop, named "row_parts", whose turns TensorFlow computes at the same time. A runtime with
threads of its own has no use for that, and OpenVINO joins parts of different sizes wrongly.
"""

from __future__ import annotations

from typing import Any, Final

import tensorflow as tf

from serving.errors import UnsupportedRequestError

_LOOP: Final = "row_parts"
_CALLS: Final = {"While": "StatefulPartitionedCall", "StatelessWhile": "PartitionedCall"}


def computes_parts(meta_graph: Any, name: str) -> bool:
    """Whether a function computes rows in parts.

    Args:
        meta_graph: A MetaGraphDef.
        name: The function's name in the library.
    """
    return any(function.signature.name == name and _loop_of(function) is not None
               for function in meta_graph.graph_def.library.function)


def with_whole_rows(meta_graph: Any, name: str) -> Any:
    """A graph in which a function computes all rows at once.

    Args:
        meta_graph: A MetaGraphDef; it is not changed.
        name: The name of a function that computes rows in parts.

    Returns:
        Another MetaGraphDef.

    Raises:
        UnsupportedRequestError: The loop is none that an export writes.
    """
    copy = type(meta_graph).FromString(meta_graph.SerializeToString())
    functions = {function.signature.name: function for function in copy.graph_def.library.function}
    function = functions[name]
    loop = _loop_of(function)
    body = functions[loop.attr["body"].func.name]
    lists = [place for place, argument in enumerate(body.signature.input_arg)
             if argument.type == tf.variant.as_datatype_enum]
    _return_what_is_written(body, lists)
    _keep_all_rows(body)
    for node in function.node_def:
        if node.op == "TensorListConcatV2" and node.input[0].startswith(f"{_LOOP}:output:"):
            place = lists.index(int(node.input[0].rpartition(":")[2]))
            _become(node, "Identity", [f"{_LOOP}:output:{place}"], T=tf.float32.as_datatype_enum)
            _rename_uses(function, f"{node.name}:tensor:0", f"{node.name}:output:0")
    kinds = [kind for place, kind in enumerate(loop.attr["T"].list.type) if place not in lists]
    given = [source for place, source in enumerate(loop.input) if place not in lists]
    _become(loop, _CALLS[loop.op], given)
    loop.attr["f"].func.name = body.signature.name
    loop.attr["Tin"].list.type.extend(kinds)
    loop.attr["Tout"].list.type.extend(tf.float32.as_datatype_enum for _ in lists)
    return copy


def _loop_of(function: Any) -> Any:
    return next((node for node in function.node_def if node.name == _LOOP and node.op in _CALLS), None)


def _return_what_is_written(body: Any, lists: list[int]) -> None:
    """Makes the loop's body a function of everything but the lists, which gives what a turn writes into them."""
    nodes = {node.name: node for node in body.node_def}
    results = [body.signature.output_arg[place] for place in lists]
    sources = []
    for result in results:
        node = nodes[body.ret[result.name].split(":")[0]]
        while node.op == "Identity":
            node = nodes[node.input[0].split(":")[0]]
        if node.op != "TensorListSetItem":
            raise UnsupportedRequestError(f"the loop {_LOOP} ends with {node.op}, not with a list of its parts")
        sources.append((result.name, node.input[2], node.name))
    written = {name for _, _, name in sources}
    kept = [node for node in body.node_def
            if node.name not in written and not {source.split(":")[0] for source in node.input} & written]
    arguments = [argument for place, argument in enumerate(body.signature.input_arg) if place not in lists]
    signature = type(body.signature)(name=body.signature.name, input_arg=arguments,
                                     is_stateful=body.signature.is_stateful)
    for name, _, _ in sources:
        signature.output_arg.add(name=name, type=tf.float32.as_datatype_enum)
    copied = [type(node).FromString(node.SerializeToString()) for node in kept]
    body.signature.CopyFrom(signature)
    body.arg_attr.clear()
    body.ret.clear()
    for name, source, _ in sources:
        body.ret[name] = source
    del body.node_def[:]
    body.node_def.extend(copied)


def _keep_all_rows(body: Any) -> None:
    """Leaves out the cuts from the model's inputs."""
    for node in body.node_def:
        if node.op == "StridedSlice" and node.name.startswith(f"{_LOOP}/strided_slice"):
            _become(node, "Identity", [node.input[0]], T=node.attr["T"].type)


def _become(node: Any, operation: str, inputs: list[str], **types: int) -> None:
    node.op = operation
    del node.input[:]
    node.input.extend(inputs)
    node.attr.clear()
    for name, kind in types.items():
        node.attr[name].type = kind


def _rename_uses(function: Any, before: str, after: str) -> None:
    for node in function.node_def:
        for place, source in enumerate(node.input):
            if source == before:
                node.input[place] = after
    for name, source in function.ret.items():
        if source == before:
            function.ret[name] = after
