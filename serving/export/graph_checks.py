"""What can be told from saved_model.pb without running it: unknown operations, XLA, Python, files, tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from serving.export.op_lists import KnownOp
from serving.export.validation import Finding

_PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
# The checkpoint's own operations stand in every SavedModel, but no signature may reach one.
_CHECKPOINT_OPS = frozenset({"SaveV2", "RestoreV2", "Save", "Restore", "SaveSlices", "RestoreSlice",
                             "MergeV2Checkpoints", "ShardedFilename"})
_FILE_OPS = frozenset({
    "ReadFile", "WriteFile", "MatchingFiles", "PrintV2", "WholeFileReader", "WholeFileReaderV2", "TextLineReader",
    "TextLineReaderV2", "TFRecordReader", "TFRecordReaderV2", "FixedLengthRecordReader", "FixedLengthRecordReaderV2",
    "TextLineDataset", "TFRecordDataset", "TFRecordDatasetV2", "FixedLengthRecordDataset", "FixedLengthRecordDatasetV2",
    "MatchingFilesDataset", "SaveDataset", "SaveDatasetV2", "LoadDataset", "DistributedSave", "SqlDataset",
    "CSVDataset", "CSVDatasetV2", "CacheDataset", "CacheDatasetV2", "ImmutableConst", "InitializeTableFromDataset",
})
_MUTABLE_TABLE_OPS = frozenset({"MutableHashTable", "MutableHashTableV2", "MutableHashTableOfTensors",
                                "MutableHashTableOfTensorsV2", "MutableDenseHashTable", "MutableDenseHashTableV2"})
_TABLE_OPS = frozenset({"HashTable", "HashTableV2"})
_TABLE_FILLING_OPS = frozenset({"InitializeTable", "InitializeTableV2", "LookupTableImport", "LookupTableImportV2",
                                "InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
_TABLE_FILE_OPS = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
_INIT_SIGNATURE = "__saved_model_init_op"


class Graph:
    """A MetaGraphDef with its functions by name and the nodes that each signature reaches.

    Args:
        meta_graph: The MetaGraphDef of tag "serve".
    """

    def __init__(self, meta_graph: Any) -> None:
        self.meta_graph = meta_graph
        self.functions = {function.signature.name: function for function in meta_graph.graph_def.library.function}
        self._nodes = {node.name: node for node in meta_graph.graph_def.node}

    def nodes(self) -> Iterator[tuple[str, Any]]:
        """Yields (where it stands, NodeDef) for the graph and the whole function library."""
        for node in self.meta_graph.graph_def.node:
            yield "the graph", node
        for name, function in self.functions.items():
            for node in function.node_def:
                yield name, node

    def reached_from(self, outputs: Iterable[str]) -> Iterator[Any]:
        """Yields every NodeDef that computing the named tensors or nodes can run, functions included."""
        waiting, seen = [_node_name(name) for name in outputs], set()
        called: list[str] = []
        while waiting:
            name = waiting.pop()
            node = self._nodes.get(name)
            if node is None or name in seen:
                continue
            seen.add(name)
            yield node
            waiting += [_node_name(source) for source in node.input]
            called += self._functions_of(node)
        yield from self._inside(called)

    def _inside(self, called: list[str]) -> Iterator[Any]:
        seen: set[str] = set()
        while called:
            name = called.pop()
            if name in seen:
                continue
            seen.add(name)
            for node in self.functions[name].node_def:
                yield node
                called += self._functions_of(node)

    def _functions_of(self, node: Any) -> list[str]:
        names = [node.op] + [value.func.name for value in node.attr.values() if value.HasField("func")]
        names += [func.name for value in node.attr.values() for func in value.list.func]
        return [name for name in names if name in self.functions]

    def signature_outputs(self) -> Iterator[tuple[str, list[str]]]:
        """Yields (signature, names of its output tensors)."""
        for name, signature in sorted(self.meta_graph.signature_def.items()):
            if name != _INIT_SIGNATURE:
                yield name, [info.name for info in signature.outputs.values()]

    def init_nodes(self) -> list[str]:
        """Names of what runs when the model is loaded."""
        signature = self.meta_graph.signature_def.get(_INIT_SIGNATURE)
        return [info.name for info in signature.outputs.values()] if signature is not None else []


def _node_name(tensor: str) -> str:
    return tensor.lstrip("^").split(":")[0]


def graph_findings(graph: Graph, known: Mapping[str, KnownOp], target: str) -> Iterator[Finding]:
    """Yields what a TensorFlow Serving of a release cannot run, or should not be made to."""
    yield from _unknown_ops(graph, known, target)
    yield from _compiled(graph)
    yield from _python_and_files(graph)
    for signature, outputs in graph.signature_outputs():
        yield from _signature_findings(graph, signature, outputs)


def _unknown_ops(graph: Graph, known: Mapping[str, KnownOp], target: str) -> Iterator[Finding]:
    reported = set()
    for where, node in graph.nodes():
        if node.op in graph.functions:
            continue
        entry = known.get(node.op)
        unknown = sorted(_attributes(node) - entry.attributes) if entry else []
        fault = (node.op, *unknown)
        if (entry is not None and not unknown) or fault in reported:
            continue
        reported.add(fault)
        lacks = "the operation" if entry is None else f"the attribute {unknown[0]!r} of the operation"
        yield Finding("operations", f"TensorFlow Serving {target} does not know {lacks} {node.op!r} (node "
                      f"{node.name!r} in {where}). Use other layers, or a newer TensorFlow Serving.")


def _attributes(node: Any) -> set[str]:
    """Names of a node's attributes; those with an underscore are notes that every release ignores."""
    return {name for name in node.attr if not name.startswith("_")}


def _compiled(graph: Graph) -> Iterator[Finding]:
    compiled = [name for name, function in graph.functions.items() if function.attr["_XlaMustCompile"].b]
    compiled += [node.name for _, node in graph.nodes() if node.attr["_XlaMustCompile"].b]
    if compiled:
        yield Finding("xla", f"{compiled[0]!r} must be compiled by XLA, which TensorFlow Serving has switched off: the "
                      "first request would fail. Trace it with jit_compile=False.")


def _python_and_files(graph: Graph) -> Iterator[Finding]:
    reported = set()
    file_tables = 0
    for where, node in graph.nodes():
        file_tables += node.op in _TABLE_FILE_OPS
        if node.op in _PYTHON_OPS | _FILE_OPS and node.op not in reported:
            reported.add(node.op)
            why = ("calls back into the Python process that made the model" if node.op in _PYTHON_OPS
                   else "touches files or the server's output")
            yield Finding("python" if node.op in _PYTHON_OPS else "files",
                          f"The operation {node.op!r} (node {node.name!r} in {where}) {why}. Use TensorFlow operations "
                          "that compute from their inputs alone.")
    assets = len(graph.meta_graph.asset_file_def)
    if file_tables > assets:
        yield Finding("files", f"{file_tables} tables are read from files and the model brings {assets} assets along, "
                      "so one reads a file that is not part of it. Track the vocabulary as tf.saved_model.Asset.")


def _signature_findings(graph: Graph, signature: str, outputs: list[str]) -> Iterator[Finding]:
    reached = list(graph.reached_from(outputs))
    ops = {node.op for node in reached}
    for op in sorted(ops & _CHECKPOINT_OPS):
        yield Finding("files", f"The signature {signature!r} reaches {op!r}, which reads or writes checkpoints.")
    for op in sorted(ops & _MUTABLE_TABLE_OPS):
        yield Finding("tables", f"The signature {signature!r} uses a table that changes ({op!r}): it is empty after "
                      "loading and grows with requests. Use tf.lookup.StaticHashTable as an attribute of the exported "
                      "module.")
    for op in sorted(op for op in ops if op.startswith("Cudnn")):
        yield Finding("operations", f"The signature {signature!r} uses {op!r}, which runs on NVIDIA GPUs only.")
    yield from _table_findings(graph, signature, reached)


def _table_findings(graph: Graph, signature: str, reached: list[Any]) -> Iterator[Finding]:
    used = {node.attr["shared_name"].s for node in reached if node.op in _TABLE_OPS}
    if not used:
        return
    at_start = list(graph.reached_from(graph.init_nodes()))
    fillers = sum(node.op in _TABLE_FILLING_OPS for node in at_start)
    known = {node.attr["shared_name"].s for node in at_start if node.op in _TABLE_OPS}
    for name in sorted(used - known) or ([b"?"] if fillers == 0 else []):
        yield Finding("tables", f"The signature {signature!r} looks up a table ({name.decode(errors='replace')}) that "
                      "is not filled when the model is loaded. Make the table an attribute of the exported module.")
