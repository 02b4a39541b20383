"""Whether a SavedModel from a stranger may be run: a graph is a program, and some operations reach beyond tensors.

Refused are operations that read or write files, run Python, talk to other programs or hide further graphs. Reading
parameters and vocabularies when the model is loaded is what SavedModels do; saving and restoring are let through where
nothing that is called reaches them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from zoo.errors import WeightsError

# Reach files, processes or hosts whatever their inputs are.
_REFUSED = frozenset({
    "ReadFile", "WriteFile", "MatchingFiles", "FileSystemSetConfiguration", "ImmutableConst", "PyFunc",
    "PyFuncStateless", "EagerPyFunc", "LoadAndRemapMatrix", "GenerateVocabRemapping", "DecodeProtoV2", "EncodeProto",
    "RemoteCall", "RemoteFusedGraphExecute", "RpcServer", "RpcClient", "RpcCall", "RpcServerRegister", "Rpc", "TryRpc",
    "SqlDataset", "ExperimentalSqlDataset", "SaveDataset", "SaveDatasetV2", "LoadDataset", "CSVDataset", "CSVDatasetV2",
    "ExperimentalCSVDataset", "LMDBDataset", "ExperimentalLMDBDataset", "TextLineDataset", "TFRecordDataset",
    "TFRecordDatasetV2", "FixedLengthRecordDataset", "FixedLengthRecordDatasetV2", "CacheDataset", "CacheDatasetV2",
    "SnapshotDataset", "SnapshotDatasetV2", "SnapshotDatasetReader", "DatasetToTFRecord", "DistributedSave",
    "ExperimentalDatasetToTFRecord", "DataServiceDataset", "DataServiceDatasetV2", "DataServiceDatasetV3",
    "DataServiceDatasetV4", "RegisterDataset", "RegisterDatasetV2", "MatchingFilesDataset", "DebugIdentity",
    "DebugIdentityV2", "DebugIdentityV3", "DebugNanCount", "DebugNumericSummary", "DebugNumericSummaryV2",
    "CreateSummaryDbWriter", "CreateSummaryFileWriter", "SummaryWriter", "WholeFileReader", "WholeFileReaderV2",
    "TextLineReader", "TextLineReaderV2", "TFRecordReader", "TFRecordReaderV2", "FixedLengthRecordReader",
    "FixedLengthRecordReaderV2", "LMDBReader", "IdentityReader", "IdentityReaderV2",
})
# What a saver is made of; refused where a call reaches it.
_SAVERS = frozenset({"Save", "SaveSlices", "SaveV2", "Restore", "RestoreSlice", "RestoreV2", "MergeV2Checkpoints"})


def check_graph(folder: Path) -> frozenset[str]:
    """Checks the operations of a SavedModel without loading it.

    Args:
        folder: Its folder.

    Returns:
        The names of all operations in it.

    Raises:
        WeightsError: The graph cannot be read, or has operations that are refused.
    """
    names: set[str] = set()
    for graph in read_graphs(folder):
        functions = {function.signature.name: function for function in graph.graph_def.library.function}
        nodes = [*graph.graph_def.node, *(node for function in functions.values() for node in function.node_def)]
        names |= {node.op for node in nodes}
        found = {node.op for node in nodes if node.op in _REFUSED or _prints_to_file(node)}
        found |= {node.op for node in _reached(graph, functions) if node.op in _SAVERS}
        if found:
            raise WeightsError(f"The SavedModel in {folder.name!r} is refused: its graph has {', '.join(sorted(found))}"
                               ", which can reach files, Python or other programs of this machine. Get the model from "
                               "a publisher whom you trust, or export it without them.")
    return frozenset(names)


def read_graphs(folder: Path) -> Iterator[Any]:
    """Yields the MetaGraphDef messages of a SavedModel.

    Args:
        folder: Its folder.

    Raises:
        WeightsError: There is no graph that can be read.
    """
    binary, text = folder / "saved_model.pb", folder / "saved_model.pbtxt"
    message = saved_model_pb2.SavedModel()
    try:
        if binary.is_file():
            message.ParseFromString(binary.read_bytes())
        else:
            text_format.Parse(text.read_text(encoding="utf-8"), message)
    except (OSError, DecodeError, text_format.ParseError, UnicodeDecodeError) as error:
        raise WeightsError(f"The graph of the SavedModel in {folder} cannot be read: it is missing or broken. Fetch "
                           "the model again.") from error
    if not message.meta_graphs:
        raise WeightsError(f"The SavedModel in {folder} holds no graph. Fetch the model again.")
    yield from message.meta_graphs


def _prints_to_file(node: Any) -> bool:
    return bool(node.op == "PrintV2" and node.attr["output_stream"].s.startswith(b"file:"))


# === What a call reaches ===


def _reached(graph: Any, functions: Mapping[str, Any]) -> Iterator[Any]:
    """Yields the nodes that signatures, restored functions and initialisation reach."""
    main = list(_upstream(graph.graph_def.node, _roots(graph)))
    yield from main
    pending = [name for node in main for name in _called(node, functions)]
    pending += [name for name in graph.object_graph_def.concrete_functions if name in functions]
    pending += [pair.gradient_func for pair in graph.graph_def.library.gradient if pair.gradient_func in functions]
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in functions[name].node_def:
            yield node
            pending += _called(node, functions)


def _roots(graph: Any) -> Iterator[str]:
    for signature in graph.signature_def.values():
        for tensor in signature.outputs.values():
            yield tensor.name
            yield from (part.name for part in tensor.composite_tensor.components)
            yield tensor.coo_sparse.values_tensor_name
    for name in ("main_op", "legacy_init_op", "saved_model_main_op"):
        yield from graph.collection_def[name].node_list.value if name in graph.collection_def else ()


def _upstream(nodes: Iterable[Any], roots: Iterable[str]) -> Iterator[Any]:
    by_name = {node.name: node for node in nodes}
    pending, seen = [_node_name(root) for root in roots], set[str]()
    while pending:
        name = pending.pop()
        if name in seen or name not in by_name:
            continue
        seen.add(name)
        yield by_name[name]
        pending += [_node_name(text) for text in by_name[name].input]


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _called(node: Any, functions: Mapping[str, Any]) -> list[str]:
    named = [node.op]
    for attribute in node.attr.values():
        named += [attribute.func.name, *(function.name for function in attribute.list.func)]
    return [name for name in named if name in functions]
