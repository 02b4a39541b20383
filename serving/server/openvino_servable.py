"""One loaded version whose forward pass OpenVINO computes, and TensorFlow everything around it.

OpenVINO reads the same SavedModel. What turns pictures and texts into tensors, what ranks the answers, and signatures
of other graphs, such as writing a text word by word, stay with TensorFlow: one session, the same interfaces.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from serving.errors import ModelLoadError, SettingsError, UnsupportedRequestError
from serving.protocol.signatures import DEFAULT_SIGNATURE
from serving.server.forward_function import ForwardFunction, forward_function_of, put_in_place, reads_variables
from serving.server.servable import SERVE_TAG, Servable, load_servable
from serving.server.whole_rows import computes_parts, with_whole_rows

_GRAPH_FILE: Final = "saved_model.pb"
_PRECISIONS: Final = {"float32": "f32", "bfloat16": "bf16"}
_log = logging.getLogger(__name__)


class OpenvinoServable(Servable):
    """A version whose forward pass runs in OpenVINO.

    Args:
        loaded: The version as TensorFlow loaded it, with a call in the place of the forward pass.
        kept: What that call needs.
    """

    runtime = "openvino"

    def __init__(self, loaded: Servable, kept: Any) -> None:
        super().__init__(loaded.name, loaded.version, loaded._session, loaded.signatures)
        self._kept = kept

    def close(self) -> None:
        """Give the memory back. No `run` may be going on or follow."""
        self._kept = None
        super().close()


class CompiledForward:
    """A forward pass, compiled by OpenVINO for any number of rows.

    Args:
        model: An openvino.Model.
        forward: What it computes.
        precision: "float32" or "bfloat16".
        threads: Threads of one run; 0 leaves it to OpenVINO.
    """

    def __init__(self, model: Any, forward: ForwardFunction, precision: str, threads: int) -> None:
        self._inputs = [(name, _dtype(model.input(name)), _one_row(model.input(name))) for name in forward.inputs]
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": _PRECISIONS[precision]}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        self._compiled = _openvino().Core().compile_model(model, "CPU", settings)
        self._outputs = [self._compiled.output(name) for name in forward.outputs]
        self._idle: list[Any] = []
        self._lock = threading.Lock()

    def __call__(self, *arrays: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        """The outputs [N, ...] for inputs [N, ...], in the order of `forward`; N may be 0."""
        rows = len(arrays[0])
        # Without a row there is nothing to compute, but the outputs' shapes are asked for all the same.
        feeds = [array if rows else np.zeros([1, *(max(size, 1) for size in array.shape[1:])], array.dtype)
                 for array in arrays]
        with self._request() as request:
            answers = request.infer({name: np.ascontiguousarray(array, dtype)
                                     for (name, dtype, _), array in zip(self._inputs, feeds, strict=True)})
            return [np.array(answers[output][:rows]) for output in self._outputs]

    @contextlib.contextmanager
    def _request(self) -> Iterator[Any]:
        with self._lock:
            request = self._idle.pop() if self._idle else None
        if request is None:
            request = self._compiled.create_infer_request()
        try:
            yield request
        finally:
            with self._lock:
                self._idle.append(request)

    def try_out(self) -> None:
        """Runs one row of zeros, which says whether it runs at all."""
        self(*(np.zeros(shape, dtype) for _, dtype, shape in self._inputs))


def check_openvino() -> None:
    """Refuses to go on where OpenVINO is not installed.

    Raises:
        SettingsError: It is not.
    """
    try:
        _openvino()
    except ImportError as error:
        raise SettingsError(f'The runtime "openvino" needs a package that is not there ({error}). Install it with: '
                            "pip install 'servable-zoo[openvino]'") from error


def load_openvino_servable(
    name: str,
    version: int,
    folder: Path,
    *,
    config: Any = None,
    tags: Sequence[str] = (SERVE_TAG,),
    precision: str | None = None,
    threads: int = 0,
) -> Servable:
    """Load a version folder with OpenVINO for the forward pass.

    What OpenVINO cannot read is loaded by TensorFlow alone, with a word in the log.

    Args:
        name: The model's name.
        version: Its version.
        folder: Folder with saved_model.pb.
        config: A ConfigProto for TensorFlow's part; None leaves all to it.
        tags: All the tags of the meta graph to load.
        precision: "float32" or "bfloat16"; None takes the one that the graph is written in.
        threads: Threads of one run; 0 leaves it to OpenVINO.

    Returns:
        The loaded version, not yet warmed up; its attribute `runtime` says which one it runs in.

    Raises:
        ModelLoadError: The folder is no SavedModel that this machine can load; the message has the reason.
    """
    try:
        return _loaded(name, version, folder, config, tags, precision, threads)
    # OpenVINO raises RuntimeError for what it cannot convert, and others; whatever it was, TensorFlow may do.
    except Exception as error:
        _log.warning("Version %d of model %r runs in TensorFlow, because OpenVINO cannot compute it: %s", version, name,
                     " ".join(str(error).split())[:300])
    return load_servable(name, version, folder, config=config, tags=tags)


def _loaded(name: str, version: int, folder: Path, config: Any, tags: Sequence[str], precision: str | None,
            threads: int) -> Servable:  # fmt: skip
    meta_graph = _meta_graph(folder, tags)
    forward = forward_function_of(meta_graph)
    model = _read(folder, meta_graph, forward)
    _name_outputs(model, forward, meta_graph)
    _drop_guard(model)
    compute = CompiledForward(model, forward, precision or _precision_of(meta_graph), threads)
    compute.try_out()
    kept = (compute, put_in_place(meta_graph, forward, compute))
    with _changed_copy(folder, meta_graph) as copy:
        loaded = load_servable(name, version, copy, config=config, tags=tags)
    if not reads_variables(meta_graph):
        _release_variables(loaded)
    return OpenvinoServable(loaded, kept)


def _read(folder: Path, meta_graph: Any, forward: ForwardFunction) -> Any:
    """The version as OpenVINO reads it, without the parts in which TensorFlow computes the rows."""
    if not computes_parts(meta_graph, forward.name):
        return _openvino().Core().read_model(folder)
    with _changed_copy(folder, with_whole_rows(meta_graph, forward.name)) as copy:
        return _openvino().Core().read_model(copy)


def _openvino() -> Any:
    return importlib.import_module("openvino")


def _meta_graph(folder: Path, tags: Sequence[str]) -> Any:
    saved_model = saved_model_pb2.SavedModel.FromString((folder / _GRAPH_FILE).read_bytes())
    for meta_graph in saved_model.meta_graphs:
        if set(tags) == set(meta_graph.meta_info_def.tags):
            return meta_graph
    raise ModelLoadError(f"there is no graph with the tags {sorted(tags)}")


def _name_outputs(model: Any, forward: ForwardFunction, meta_graph: Any) -> None:
    """Makes sure that OpenVINO names inputs and outputs as the signature does."""
    names = [{name for port in ports for name in port.get_names()} for ports in (model.inputs, model.outputs)]
    if set(forward.inputs) <= names[0] and set(forward.outputs) <= names[1]:
        return
    signature = meta_graph.signature_def[DEFAULT_SIGNATURE]
    missing = sorted({*forward.inputs} - names[0] | {*forward.outputs} - names[1])
    raise UnsupportedRequestError(f"its reading of the graph has no {', '.join(missing)} of {sorted(signature.inputs)} "
                                  f"and {sorted(signature.outputs)}")


def _drop_guard(model: Any) -> None:
    """Takes out the branch for a batch without rows, which costs OpenVINO half of its speed; see `CompiledForward`."""
    for node in model.get_ops():
        if node.get_type_name() != "If" or len(node.outputs()) != 1:
            continue
        otherwise = node.get_function(1)
        result = otherwise.get_results()[0].input_value(0).get_node()
        if result.get_type_name() != "Parameter":
            continue
        place = otherwise.get_parameter_index(result)
        for described in node.get_input_descriptions(1):
            source = node.input_value(described.input_index)
            if described.body_parameter_index == place and source.get_node().get_type_name() == "Parameter":
                node.output(0).replace(source)
    model.validate_nodes_and_infer_types()


def _dtype(port: Any) -> Any:
    return port.get_element_type().to_dtype()


def _one_row(port: Any) -> list[int]:
    shape = port.get_partial_shape()
    return [1 if size.is_dynamic else size.get_length() for size in shape] if shape.rank.is_static else [1]


def _precision_of(meta_graph: Any) -> str:
    """The numbers that a graph is written in: "bfloat16" where any of its operations computes in them."""
    kind = tf.bfloat16.as_datatype_enum
    for function in meta_graph.graph_def.library.function:
        if any(node.attr["T"].type == kind for node in function.node_def if "T" in node.attr):
            return "bfloat16"
    return "float32"


@contextlib.contextmanager
def _changed_copy(folder: Path, meta_graph: Any) -> Iterator[Path]:
    """A version folder with another graph and the same files beside it."""
    saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1, meta_graphs=[meta_graph])
    with tempfile.TemporaryDirectory(prefix="zoo-openvino-") as made:
        copy = Path(made) / "version"
        copy.mkdir()
        for name in ("variables", "assets"):
            source = (folder / name).resolve()
            if not source.is_dir():
                continue
            try:
                (copy / name).symlink_to(source, target_is_directory=True)
            except OSError:  # a system without links
                shutil.copytree(source, copy / name)
        (copy / _GRAPH_FILE).write_bytes(saved_model.SerializeToString())
        yield copy


def _release_variables(loaded: Servable) -> None:
    """Gives back the memory of variables that nothing reads any more: the weights, which OpenVINO holds."""
    graph = loaded._session.graph
    with graph.as_default():
        handles = [operation.outputs[0] for operation in graph.get_operations() if operation.type == "VarHandleOp"]
        loaded._session.run([tf.raw_ops.DestroyResourceOp(resource=handle, ignore_lookup_error=True)
                             for handle in handles])
