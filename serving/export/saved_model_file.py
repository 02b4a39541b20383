"""saved_model.pb made canonical: pinned names, kinds of call, no XLA, and the same bytes every time.

TensorFlow numbers functions and tables through the life of a process, so the same model gives other bytes after other
work. Here functions are numbered in the order in which the graph reaches them, and a table is named by the content that
it belongs to. Two loaded models then cannot mix up their tables, and two equal models have equal files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2

SAVED_MODEL_FILE = "saved_model.pb"
_MUST_COMPILE = "_XlaMustCompile"
_TABLE_OPS = frozenset({"HashTable", "HashTableV2"})
_NUMBERED = re.compile(r"^(.*?)_?\d*$")
# Running numbers inside names: of a table's initializer, and of a loop's condition in what it does not use.
_COUNTED_NAME = re.compile(r"(key_value_init|text_file_init)(\d+)|(_cond_)(\d+)(?=___redundant_placeholder)")
_METHOD_NAME = "tensorflow/serving/{}"


def make_canonical(directory: Path, methods: Mapping[str, str], aliases: Mapping[str, Mapping[str, str]],
                   defaults: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Rewrites the saved_model.pb of a folder that tf.saved_model.save wrote, and drops its fingerprint.pb.

    fingerprint.pb holds a random number and a checksum of the file before the rewrite. No loader needs it; the
    manifest's SHA-256 of every file does its work.

    Args:
        directory: The SavedModel's folder.
        methods: Kind of call ("predict", "classify", "regress") by signature name.
        aliases: By signature name: the pinned name of an input by the name of the function's argument.
        defaults: By signature name: arrays that stand in for inputs that a request leaves out, by pinned name. They
            take the place of what TensorFlow wrote of a function's own defaults.
    """
    path = directory / SAVED_MODEL_FILE
    saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    meta_graph = saved_model.meta_graphs[0]
    for name, method in methods.items():
        meta_graph.signature_def[name].method_name = _METHOD_NAME.format(method)
    for name, pinned in aliases.items():
        _pin_input_names(meta_graph, name, pinned)
    for name, arrays in (defaults or {}).items():
        _write_defaults(meta_graph.signature_def[name], arrays)
    for node in _nodes(meta_graph):
        _make_portable(node)
    for function in meta_graph.graph_def.library.function:
        function.attr.pop(_MUST_COMPILE, None)
        _drop_counted_names(function)
    _rename_functions(meta_graph)
    _rename_resources(saved_model, directory / "assets")
    path.write_bytes(saved_model.SerializeToString(deterministic=True))
    (directory / "fingerprint.pb").unlink(missing_ok=True)


def _nodes(meta_graph: Any) -> Iterator[Any]:
    yield from meta_graph.graph_def.node
    for function in meta_graph.graph_def.library.function:
        yield from function.node_def


def _make_portable(node: Any) -> None:
    """Takes out what ties a node to the machine that exported it.

    Keras asks for XLA in a few places (grouped convolutions) for speed's sake; the operations inside are ordinary.
    TensorFlow Serving has XLA switched off, and such a function would fail at the first request.
    """
    node.attr.pop(_MUST_COMPILE, None)
    if "GPU" in node.device.upper():
        node.device = ""


def _drop_counted_names(function: Any) -> None:
    """Takes the running numbers out that TensorFlow gives to captured values and to a table's initializer."""
    for attributes in function.arg_attr.values():
        if attributes.attr["_user_specified_name"].s.isdigit():
            del attributes.attr["_user_specified_name"]
    names = [argument.name for argument in function.signature.input_arg]
    if any(_COUNTED_NAME.search(name) for name in names):  # few functions: as text they are changed everywhere at once
        numbers: dict[str, int] = {}
        text = _COUNTED_NAME.sub(lambda match: _renumbered(match, numbers), text_format.MessageToString(function))
        function.CopyFrom(text_format.Parse(text, type(function)()))


def _renumbered(match: re.Match[str], numbers: dict[str, int]) -> str:
    prefix, number = match[1] or match[3], match[2] or match[4]
    return f"{prefix}{numbers.setdefault(number, len(numbers))}"


# === Inputs ===


def _pin_input_names(meta_graph: Any, signature: str, pinned: Mapping[str, str]) -> None:
    """Renames inputs in the SignatureDef (for TensorFlow Serving) and the object graph (for tf.saved_model.load)."""
    inputs = meta_graph.signature_def[signature].inputs
    for argument, name in pinned.items():
        inputs[name].CopyFrom(inputs[argument])
        del inputs[argument]
    objects = meta_graph.object_graph_def
    wrapper = objects.nodes[_signature_node(objects, signature)].bare_concrete_function
    for keywords in (wrapper.argument_keywords,):
        keywords[:] = [pinned.get(keyword, keyword) for keyword in keywords]
    for value in wrapper.function_spec.fullargspec.named_tuple_value.values:
        for entry in value.value.list_value.values:
            entry.string_value = pinned.get(entry.string_value, entry.string_value)
    arguments = objects.concrete_functions[wrapper.concrete_function_name].canonicalized_input_signature
    fields = arguments.tuple_value.values[1].dict_value.fields
    for argument, name in pinned.items():
        fields[name].CopyFrom(fields[argument])
        fields[name].tensor_spec_value.name = name
        del fields[argument]


def _write_defaults(definition: Any, arrays: Mapping[str, Any]) -> None:
    definition.defaults.clear()
    for name, array in arrays.items():
        proto = tf.make_tensor_proto(array, tf.as_dtype(definition.inputs[name].dtype), array.shape)
        definition.defaults[name].CopyFrom(proto)


def _signature_node(objects: Any, signature: str) -> int:
    root = {child.local_name: child.node_id for child in objects.nodes[0].children}
    return int({child.local_name: child.node_id for child in objects.nodes[root["signatures"]].children}[signature])


# === Functions ===


def _rename_functions(meta_graph: Any) -> None:
    library = meta_graph.graph_def.library
    functions = {function.signature.name: function for function in library.function}
    order = list(_reached(meta_graph, functions))
    # The prefix and the number stay in the form that TensorFlow's loader knows.
    renamed = {name: f"{_base_name(name)}_{index}" for index, name in enumerate(order)}
    for node in _nodes(meta_graph):
        _rename_in_node(node, renamed)
    for function in library.function:
        function.signature.name = renamed[function.signature.name]
    ordered = [functions[name] for name in order]
    kept = [type(function).FromString(function.SerializeToString()) for function in ordered]
    del library.function[:]
    library.function.extend(kept)
    for gradient in library.gradient:
        gradient.function_name = renamed[gradient.function_name]
        gradient.gradient_func = renamed.get(gradient.gradient_func, gradient.gradient_func)
    _rename_in_objects(meta_graph.object_graph_def, renamed)


def _base_name(name: str) -> str:
    match = _NUMBERED.match(name)
    return match.group(1) if match else name


def _reached(meta_graph: Any, functions: Mapping[str, Any]) -> Iterator[str]:
    """Function names in the order in which they are met: from the graph's nodes, then from the object graph."""
    seen: set[str] = set()

    def visit(roots: list[str]) -> Iterator[str]:
        waiting = roots[::-1]
        while waiting:
            name = waiting.pop()
            if name in functions and name not in seen:
                seen.add(name)
                yield name
                inner = [called for node in functions[name].node_def for called in _called(node, functions)]
                waiting += inner[::-1]

    for node in meta_graph.graph_def.node:
        yield from visit(_called(node, functions))
    for entry in meta_graph.object_graph_def.nodes:
        yield from visit([*entry.function.concrete_functions, entry.bare_concrete_function.concrete_function_name])
    for name in sorted(functions, key=_base_name):
        yield from visit([name])


def _called(node: Any, functions: Mapping[str, Any]) -> list[str]:
    names = [node.op] if node.op in functions else []
    for key in sorted(node.attr):
        value = node.attr[key]
        names += [value.func.name] if value.HasField("func") else [func.name for func in value.list.func]
    return names


def _rename_in_node(node: Any, renamed: Mapping[str, str]) -> None:
    node.op = renamed.get(node.op, node.op)
    for value in node.attr.values():
        for func in [value.func] if value.HasField("func") else value.list.func:
            func.name = renamed.get(func.name, func.name)


def _rename_in_objects(objects: Any, renamed: Mapping[str, str]) -> None:
    concrete = {renamed.get(name, name): type(value).FromString(value.SerializeToString())
                for name, value in objects.concrete_functions.items()}
    objects.concrete_functions.clear()
    for name, value in concrete.items():
        objects.concrete_functions[name].CopyFrom(value)
    for entry in objects.nodes:
        if entry.HasField("function"):
            names = entry.function.concrete_functions
            names[:] = [renamed.get(name, name) for name in names]
        elif entry.HasField("bare_concrete_function"):
            wrapper = entry.bare_concrete_function
            wrapper.concrete_function_name = renamed.get(wrapper.concrete_function_name, wrapper.concrete_function_name)


# === Variables and tables ===


def _rename_resources(saved_model: Any, assets: Path) -> None:
    """Names resources so that no two can be taken for one.

    Variables of a session are told apart by `shared_name`, which Keras fills with the layer's path; two layers may
    share one. The name of a graph's node is unique. Tables are told apart in a whole process, so theirs holds a digest.
    """
    meta_graph = saved_model.meta_graphs[0]
    for node in meta_graph.graph_def.node:
        if node.op == "VarHandleOp":
            node.attr["shared_name"].s = node.name.encode()
    tables = [node for node in _nodes(meta_graph) if node.op in _TABLE_OPS]
    numbers: dict[bytes, int] = {}
    for node in tables:
        number = numbers.setdefault(node.attr["shared_name"].s, len(numbers))
        node.attr["shared_name"].s = str(number).encode()
    if tables:
        digest = _digest(saved_model, assets)
        for node in tables:
            node.attr["shared_name"].s = f"table_{digest}_".encode() + node.attr["shared_name"].s


def _digest(saved_model: Any, assets: Path) -> str:
    digest = hashlib.sha256(saved_model.SerializeToString(deterministic=True))
    for path in sorted(assets.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(assets).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]
