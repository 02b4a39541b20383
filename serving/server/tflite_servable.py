"""One loaded TF Lite model: a few interpreters and their signatures, to be run like any other version."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf

from serving.errors import InternalServerError, InvalidRequestError, ModelLoadError, StatusCode
from serving.protocol.dtypes import data_type_of
from serving.protocol.signatures import DEFAULT_SIGNATURE, Signature, TensorSpec
from serving.server.servable import Arrays, Servable
from serving.server.source import TFLITE_FILE

try:  # what TensorFlow's own interpreter has moved to
    from ai_edge_litert.interpreter import Interpreter as _LiteRtInterpreter
except ImportError:
    _LiteRtInterpreter = None

_PREDICT_METHOD: Final = "tensorflow/serving/predict"


class TfliteServable(Servable):
    """A TF Lite model and the interpreters that run it, one request each at a time.

    Args:
        name: The model's name.
        version: Its version.
        new_interpreter: Makes an interpreter with its tensors allocated.
        interpreters: How many there may be, 1 or more; further requests wait.
    """

    runtime = "tflite"

    def __init__(self, name: str, version: int, new_interpreter: Callable[[], Any], interpreters: int) -> None:
        first = new_interpreter()
        self._keys = _signature_keys(first)
        super().__init__(name, version, None, {given: _signature_of(first, key) for given, key in self._keys.items()})
        self._new_interpreter = new_interpreter
        self._idle = [first]
        self._idle_lock = threading.Lock()
        self._places = threading.Semaphore(interpreters)

    def run(self, signature_name: str, inputs: Mapping[str, np.ndarray[Any, Any]], outputs: Sequence[str]) -> Arrays:
        """Run one signature.

        Args:
            signature_name: A name in `signatures`.
            inputs: An array of the right dtype for every input that the signature has.
            outputs: Names of the outputs to compute, each a name in the signature.

        Returns:
            Arrays by output name; strings have dtype object and elements of type bytes.

        Raises:
            InvalidRequestError: The interpreter cannot take inputs of these shapes.
            InternalServerError: The interpreter fails.
        """
        if any(array.size == 0 for array in inputs.values()):  # the kernels divide by sizes
            raise InvalidRequestError("A TF Lite model takes one row or more; an empty tensor came.")
        key = self._keys[signature_name]
        with self._interpreter() as interpreter:
            details = _details(interpreter, key)[0]
            if not _takes_one_row(details, inputs):
                values = _run(interpreter, key, inputs)
            else:
                count = next(iter(inputs.values())).shape[0]
                rows = [
                    _run(interpreter, key, {name: array[row : row + 1] for name, array in inputs.items()})
                    for row in range(count)
                ]
                values = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
            return {name: values[name] for name in outputs}

    def close(self) -> None:
        """Give the memory back. No `run` may be going on or follow."""
        self._idle.clear()
        gc.collect()

    @contextlib.contextmanager
    def _interpreter(self) -> Iterator[Any]:
        with self._places:
            with self._idle_lock:
                interpreter = self._idle.pop() if self._idle else None
            if interpreter is None:
                interpreter = self._new_interpreter()
            try:
                yield interpreter
            finally:
                with self._idle_lock:
                    self._idle.append(interpreter)


def load_tflite_servable(
    name: str, version: int, folder: Path, *, interpreters: int | None = None, threads: int = 1
) -> TfliteServable:
    """Load the TF Lite model of a version folder.

    Args:
        name: The model's name.
        version: Its version.
        folder: Folder with model.tflite.
        interpreters: Requests answered at the same time, 1 or more; None takes one per processor.
        threads: Threads of one interpreter, 1 or more.

    Returns:
        The loaded version, not yet warmed up. Its signatures are those of the file; where it has one of another name,
        or none, that is the default signature too, as in TensorFlow Serving.

    Raises:
        ModelLoadError: The file is no TF Lite model that this machine can run.
    """
    path = folder / TFLITE_FILE
    try:
        content = path.read_bytes()

        def new_interpreter() -> Any:
            return _interpreter_of(content, threads)

        return TfliteServable(name, version, new_interpreter, interpreters or os.cpu_count() or 1)
    # The interpreter raises ValueError for what is no model, RuntimeError for operations that it lacks, and others.
    except Exception as error:
        code = StatusCode.NOT_FOUND if isinstance(error, FileNotFoundError) else StatusCode.INVALID_ARGUMENT
        words = f"Version {version} of model {name!r} in {path} cannot be loaded: {error}"
        raise ModelLoadError(words, code) from error


def _interpreter_of(content: bytes, threads: int) -> Any:
    if _LiteRtInterpreter is not None:
        interpreter = _LiteRtInterpreter(model_content=content, num_threads=threads)
    elif not hasattr(tf, "lite"):  # it is announced to leave TensorFlow
        raise RuntimeError("this TensorFlow has no TF Lite interpreter. Install one with: pip install ai-edge-litert")
    else:
        with warnings.catch_warnings():  # it says that its place is another package, which nobody here has chosen
            warnings.filterwarnings("ignore", message="(?s).*tf.lite.Interpreter is deprecated")
            interpreter = tf.lite.Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def _signature_keys(interpreter: Any) -> dict[str, str | None]:
    """The file's signatures by the names that they are served under; None is the whole model."""
    keys: dict[str, str | None] = {key: key for key in sorted(interpreter.get_signature_list())}
    if len(keys) <= 1:
        keys.setdefault(DEFAULT_SIGNATURE, next(iter(keys), None))
    return keys


def _details(interpreter: Any, key: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    if key is not None:
        runner = interpreter.get_signature_runner(key)
        return runner.get_input_details(), runner.get_output_details()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    return {detail["name"]: detail for detail in inputs}, {detail["name"]: detail for detail in outputs}


def _signature_of(interpreter: Any, key: str | None) -> Signature:
    inputs, outputs = _details(interpreter, key)
    return Signature(
        inputs={name: _spec(detail, rows_open=True) for name, detail in sorted(inputs.items())},
        outputs={name: _spec(detail) for name, detail in sorted(outputs.items())},
        method_name=_PREDICT_METHOD,
    )


def _spec(detail: Mapping[str, Any], *, rows_open: bool = False) -> TensorSpec:
    shape: list[int | None] = [None if size < 0 else int(size) for size in detail["shape_signature"]]
    if rows_open and shape and shape[0] == 1:
        shape[0] = None  # several rows are run one after another
    return TensorSpec(data_type_of(np.dtype(detail["dtype"])), tuple(shape), detail["name"])


def _takes_one_row(details: Mapping[str, Any], inputs: Mapping[str, np.ndarray[Any, Any]]) -> bool:
    """Whether the model is made for one row, and several are asked for."""
    shapes = [details[name]["shape_signature"] for name in inputs]
    rows = {array.shape[0] if array.ndim else 0 for array in inputs.values()}
    return all(len(shape) and shape[0] == 1 for shape in shapes) and len(rows) == 1 and max(rows) > 1


def _run(interpreter: Any, key: str | None, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
    try:
        if key is not None:
            return dict(interpreter.get_signature_runner(key)(**inputs))
        details, outputs = _details(interpreter, key)
        changed = False
        for name, detail in details.items():
            if tuple(inputs[name].shape) != tuple(detail["shape"]):
                interpreter.resize_tensor_input(detail["index"], inputs[name].shape)
                changed = True
        if changed:
            interpreter.allocate_tensors()
        for name, detail in details.items():
            interpreter.set_tensor(detail["index"], inputs[name])
        interpreter.invoke()
        return {name: interpreter.get_tensor(detail["index"]) for name, detail in outputs.items()}
    except ValueError as error:
        raise InvalidRequestError(f"The TF Lite model cannot take these inputs: {error}") from error
    except RuntimeError as error:
        raise InternalServerError(f"Failed to run interpreter: {error}") from error
