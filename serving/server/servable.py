"""One loaded version of one model: a session, its signatures, and a way to run them."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf

from serving.errors import ModelLoadError, StatusCode, UnsupportedRequestError
from serving.fixed_weights import VARIABLE, changing_weights, is_assumed, only_products_change
from serving.protocol.generated.tensor_pb2 import SignatureDef
from serving.protocol.signatures import Signature, signature_from_proto
from serving.server.load_failure import code_of_load_failure
from serving.server.prepared_call import PreparedCall

SERVE_TAG: Final = "serve"
_INITIALIZER: Final = "__saved_model_init_op"
# Every choice of outputs has its own prepared call; a client that tries all choices must not fill the memory.
_MAX_PREPARED_CALLS: Final = 64

Arrays = dict[str, np.ndarray[Any, Any]]


class Servable:
    """A SavedModel in a session of its own.

    Args:
        name: The model's name.
        version: Its version.
        session: The session that holds the variables.
        signatures: Signatures by name.

    Attributes:
        runtime: What computes the forward pass: "tensorflow", "openvino" or "tflite".
    """

    runtime = "tensorflow"

    def __init__(self, name: str, version: int, session: Any, signatures: Mapping[str, Signature]) -> None:
        self.name = name
        self.version = version
        self.signatures = dict(signatures)
        self._session = session
        self._calls: dict[tuple[str, tuple[str, ...]], PreparedCall] = {}
        self._lock = threading.Lock()

    def run(self, signature_name: str, inputs: Mapping[str, np.ndarray[Any, Any]], outputs: Sequence[str]) -> Arrays:
        """Run one signature.

        Args:
            signature_name: A name in `signatures`.
            inputs: An array of the right dtype for every input that the signature has.
            outputs: Names of the outputs to compute, each a name in the signature.

        Returns:
            Arrays by output name; strings have dtype object and elements of type bytes.

        Raises:
            tensorflow.errors.OpError: The graph refuses the inputs or fails.
            UnsupportedRequestError: An input or output is a sparse or composite tensor.
        """
        call = self._prepared(signature_name, tuple(outputs))
        values = call(*(inputs[name] for name in self.signatures[signature_name].inputs))
        answers = dict(zip(outputs, values, strict=True))
        for name, value in answers.items():
            if isinstance(value, bytes):  # how a session gives a string without dimensions
                answers[name] = np.array(value, dtype=object)
        return answers

    def close(self) -> None:
        """Give the memory back. No `run` may be going on or follow."""
        self._calls.clear()
        self._session.close()
        self._session = None
        # A graph is full of reference cycles, and glibc keeps freed memory unless told otherwise.
        gc.collect()
        _return_free_memory()

    def _prepared(self, signature_name: str, outputs: tuple[str, ...]) -> PreparedCall:
        key = (signature_name, outputs)
        call = self._calls.get(key)
        if call is None:
            call = self._prepare(self.signatures[signature_name], outputs)
            with self._lock:
                if len(self._calls) >= _MAX_PREPARED_CALLS:
                    self._calls.clear()
                self._calls[key] = call
        return call

    def _prepare(self, signature: Signature, outputs: tuple[str, ...]) -> PreparedCall:
        feeds = {name: spec.tensor_name for name, spec in signature.inputs.items()}
        fetches = {name: signature.outputs[name].tensor_name for name in outputs}
        for name, tensor_name in [*feeds.items(), *fetches.items()]:
            if not tensor_name:
                raise UnsupportedRequestError(f"Tensor {name!r} is sparse or composite; only dense tensors are served.")
        return PreparedCall(self._session, list(feeds.values()), list(fetches.values()))


def load_servable(
    name: str, version: int, folder: Path, *, config: Any = None, tags: Sequence[str] = (SERVE_TAG,)
) -> Servable:
    """Load a version folder as TensorFlow Serving does: the meta graph with these tags, restored and initialized.

    Args:
        name: The model's name.
        version: Its version.
        folder: Folder with saved_model.pb.
        config: A ConfigProto for the session; None leaves all to TensorFlow.
        tags: All the tags of the meta graph to load.

    Returns:
        The loaded version, not yet warmed up.

    Raises:
        ModelLoadError: The folder is no SavedModel that this machine can load; the message has the reason.
    """
    try:
        session, meta_graph = _load_with_right_weights(folder, config, tags)
        try:
            signatures = {
                key: signature_from_proto(SignatureDef.FromString(signature.SerializeToString()))
                for key, signature in meta_graph.signature_def.items()
                if key != _INITIALIZER
            }
            return Servable(name, version, session, signatures)
        except BaseException:
            session.close()
            raise
    except ModelLoadError:
        raise
    # TensorFlow raises nearly every class there is for a broken folder: OSError, KeyError, RuntimeError, OpError ...
    except Exception as error:
        raise ModelLoadError(
            f"Version {version} of model {name!r} in {folder} cannot be loaded: {_first_line(error)}",
            code_of_load_failure(error),
        ) from error


def _load_with_right_weights(folder: Path, config: Any, tags: Sequence[str]) -> tuple[Any, Any]:
    """Load a graph so that no product is answered with the weights of an earlier request."""
    session, meta_graph = _load(folder, config, tags)
    changing = changing_weights(meta_graph) if is_assumed() else ()
    if not changing:
        return session, meta_graph
    session.close()
    if not only_products_change(changing):
        raise ModelLoadError(
            f"{folder} computes weights from the request ({', '.join(changing[:3])}), and this process assumes that "
            f"weights never change. Start the server with {VARIABLE}=0 in its environment.",
            StatusCode.FAILED_PRECONDITION,
        )
    careful = tf.compat.v1.ConfigProto()
    if config is not None:
        careful.CopyFrom(config)
    # Only the products with a bias that it makes keep their weights.
    rewrite = careful.graph_options.rewrite_options
    rewrite.remapping = rewrite.OFF
    return _load(folder, careful, tags)


def _load(folder: Path, config: Any, tags: Sequence[str]) -> tuple[Any, Any]:
    try:
        return _load_once(folder, config, tags)
    except Exception as error:
        if "Op type not registered" not in str(error):
            raise
        missing = error
    if not _register_text_operations():
        raise ModelLoadError(
            f"{folder} needs an operation that TensorFlow does not have ({_first_line(missing)}), and the package "
            "tensorflow_text, which may have it, is not installed. Install it with: pip install 'servable-zoo[hub]'"
        ) from missing
    return _load_once(folder, config, tags)


def _load_once(folder: Path, config: Any, tags: Sequence[str]) -> tuple[Any, Any]:
    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph, config=config)
    try:
        with graph.as_default():
            return session, tf.compat.v1.saved_model.load(session, list(tags), str(folder))
    except BaseException:
        session.close()
        raise


def _register_text_operations() -> bool:
    """Load the operations of TensorFlow Text, which only the models that use them should pay for.

    Importing the package takes two seconds and brings Keras in; its libraries alone take a tenth of one.

    Returns:
        Whether the package is installed.
    """
    package = importlib.util.find_spec("tensorflow_text")
    if package is None or package.origin is None:
        return False
    for library in sorted((Path(package.origin).parent / "python" / "ops").glob("*.so")):
        tf.load_op_library(str(library))
    return True


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]


def _return_free_memory() -> None:
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):  # another C library; it has its own ways
        return
