"""Running an exported version the way TensorFlow Serving does: a v1 session, tag "serve", tensors fed by signature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving.errors import ValidationError
from serving.export.golden import certain_of, compare, decode, differences
from serving.export.signature import plain_default
from serving.export.validation import Finding
from serving.export.warmup import MAX_RECORDS, read_warmup
from serving.manifest import Manifest, SignatureContract
from serving.protocol.examples import examples_of_input
from serving.protocol.generated.serving_pb2 import PredictionLog
from serving.protocol.tensors import to_array

Array = NDArray[Any]

_METHODS = {"predict_log": "predict", "classify_log": "classify", "regress_log": "regress"}


class LoadedVersion:
    """A version in a session; a context manager.

    Args:
        directory: The version's folder.

    Raises:
        ValidationError: It cannot be loaded.
    """

    def __init__(self, directory: Path) -> None:
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        try:
            with self._session.graph.as_default():
                self._meta_graph = tf.compat.v1.saved_model.load(self._session, ["serve"], str(directory))
        except Exception as error:
            self._session.close()
            raise ValidationError(f"TensorFlow cannot load it: {one_line(error)}") from error

    def __enter__(self) -> LoadedVersion:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._session.close()

    def run(self, signature: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Answers one request: arrays [N, ...] by name in, arrays by name out.

        Raises:
            tf.errors.OpError: The graph refuses the request.
            ValidationError: The signature or an input is not there.
        """
        definitions = self._meta_graph.signature_def
        if signature not in definitions:
            raise ValidationError(f"there is no signature {signature!r}; it has {sorted(definitions)}")
        definition = definitions[signature]
        if not set(definition.inputs) - set(definition.defaults) <= set(inputs) <= set(definition.inputs):
            raise ValidationError(f"the signature {signature!r} takes {sorted(definition.inputs)}, "
                                  f"received {sorted(inputs)}")
        given = {name: tf.make_ndarray(proto) for name, proto in definition.defaults.items()} | dict(inputs)
        feeds = {definition.inputs[name].name: array for name, array in given.items()}
        fetches = {name: info.name for name, info in definition.outputs.items()}
        return dict(self._session.run(fetches, feeds))


def one_line(error: BaseException) -> str:
    """An error's message on one line of at most 400 characters, without TensorFlow's stack of operations."""
    text = str(error).split("\n\nOriginal stack trace")[0].split("Stack trace for op definition")[0]
    return f"{type(error).__name__}: {' '.join(text.split())[:400]}"


# === Warm-up ===


def warmup_findings(version: LoadedVersion, directory: Path, manifest: Manifest) -> tuple[int, list[Finding]]:
    """Replays the warm-up records; returns how many there are and what failed."""
    findings: list[Finding] = []
    count = 0
    for count, record in enumerate(read_warmup(directory), start=1):
        fault = _replay_record(version, record, manifest)
        if fault:
            findings.append(Finding("warm-up", f"Record {count} {fault}. TensorFlow Serving would refuse the model."))
    if count > MAX_RECORDS:
        findings.append(Finding("warm-up", f"There are {count} records. TensorFlow Serving refuses more than "
                                f"{MAX_RECORDS}."))
    return count, findings


def _replay_record(version: LoadedVersion, record: PredictionLog, manifest: Manifest) -> str | None:
    kind = record.WhichOneof("log_type")
    if kind is None:
        return "is of a kind that no server replays"
    request = getattr(record, kind).request
    signature = request.model_spec.signature_name
    contract = manifest.signatures.get(signature)
    if contract is None or contract.method != _METHODS[kind]:
        return f"asks for {_METHODS[kind]} by the signature {signature!r}, which is not in the manifest"
    try:
        version.run(signature, record_inputs(record))
    except Exception as error:
        return f"({signature}) fails: {one_line(error)}"
    return None


def record_inputs(record: PredictionLog) -> dict[str, Array]:
    """Returns the inputs of a warm-up record's request, arrays [N, ...] by name.

    Args:
        record: The record.
    """
    if record.HasField("predict_log"):
        return {name: to_array(proto, name) for name, proto in record.predict_log.request.inputs.items()}
    request = record.classify_log.request if record.HasField("classify_log") else record.regress_log.request
    examples = examples_of_input(request.input)
    inputs = np.empty(len(examples), object)
    inputs[:] = examples
    return {"inputs": inputs}


# === Golden vectors and batches ===


def golden_findings(version: LoadedVersion, manifest: Manifest) -> Iterator[Finding]:
    """Replays the golden vectors as one batch, row by row and with no row; yields what differs.

    An axis of any size may be shorter for a row alone: then nothing is padded to fit a longer one.
    """
    for vector in manifest.golden:
        signature = vector["signature"]
        inputs = {name: decode(data) for name, data in vector["inputs"].items()}
        try:
            together = version.run(signature, inputs)
            for line in differences(vector, together, manifest.tolerance):
                yield Finding("golden vectors", f"{signature}: {line}. The graph does not compute what the Keras model "
                              "does.")
            yield from _batch_findings(version, vector, inputs, together, manifest)
        except Exception as error:
            yield Finding("golden vectors", f"{signature} fails: {one_line(error)}")


def _batch_findings(version: LoadedVersion, vector: Mapping[str, Any], inputs: Mapping[str, Array],
                    together: Mapping[str, Array], manifest: Manifest) -> Iterator[Finding]:
    signature, rows = vector["signature"], len(next(iter(inputs.values())))
    singles = [version.run(signature, {name: array[row:row + 1] for name, array in inputs.items()})
               for row in range(rows)]
    empty = version.run(signature, {name: array[:0] for name, array in inputs.items()})
    for name, batch in together.items():
        promised = _promised(manifest, signature, name, batch)
        alone = _in_place([single[name] for single in singles], batch, promised)
        line = (f"{name}: shapes {[list(single[name].shape) for single in singles]} alone, {list(batch.shape)} together"
                if alone is None else compare(name, batch, alone, manifest.tolerance, certain_of(vector, name)))
        if line:
            yield Finding("batching", f"{signature}: rows answer otherwise alone than in a batch of {rows}: {line}.")
        if not _is_row_shape(empty[name].shape, promised, rows=0):
            yield Finding("batching", f"{signature}: an empty batch answers {name} of shape {list(empty[name].shape)}, "
                          f"expected {[0, *('any' if size is None else size for size in promised[1:])]}.")


def _promised(manifest: Manifest, signature: str, name: str, batch: Array) -> tuple[int | None, ...]:
    """An output's shape by the contract, whose lack is another check's finding."""
    contract = manifest.signatures.get(signature)
    tensor = contract.outputs.get(name) if contract else None
    return tensor.shape if tensor else (None, *batch.shape[1:])


def _in_place(singles: list[Array], batch: Array, promised: tuple[int | None, ...]) -> Array | None:
    """The answers of single rows where they belong in the batch's answer, or None where a shape does not fit."""
    together = np.array(batch)
    if len(singles) != len(together):
        return None
    for row, single in enumerate(singles):
        fits = _is_row_shape(single.shape, promised, rows=1)
        if not fits or any(size > room for size, room in zip(single.shape[1:], together.shape[1:], strict=True)):
            return None
        place: tuple[int | slice, ...] = (row, *(slice(size) for size in single.shape[1:]))
        together[place] = single[0]
    return together


def _is_row_shape(shape: tuple[int, ...], promised: tuple[int | None, ...], *, rows: int) -> bool:
    return len(shape) == len(promised) and shape[0] == rows and all(
        wanted is None or size == wanted for size, wanted in zip(shape[1:], promised[1:], strict=True))


# === The contract ===


def contract_findings(meta_graph: Any, manifest: Manifest) -> Iterator[Finding]:
    """Yields where the signatures in the file are not those in the manifest."""
    present = {name: definition for name, definition in meta_graph.signature_def.items() if not name.startswith("__")}
    if set(present) != set(manifest.signatures):
        yield Finding("contract", f"The model has the signatures {sorted(present)} and the manifest "
                      f"{sorted(manifest.signatures)}.")
    for name in sorted(set(present) & set(manifest.signatures)):
        promised = manifest.signatures[name]
        line = _contract_difference(present[name], promised)
        if line:
            yield Finding("contract", f"The signature {name!r} is not what the manifest promises: {line}.")


def _contract_difference(definition: Any, promised: SignatureContract) -> str | None:
    if definition.method_name != f"tensorflow/serving/{promised.method}":
        return f"its kind of call is {definition.method_name!r}, promised is {promised.method!r}"
    sides = (("input", definition.inputs, promised.inputs), ("output", definition.outputs, promised.outputs))
    for side, infos, tensors in sides:
        if set(infos) != set(tensors):
            return f"{side}s are {sorted(infos)}, promised are {sorted(tensors)}"
        for name, tensor in tensors.items():
            dtype = tf.as_dtype(infos[name].dtype).name
            shape = tuple(None if size == -1 else size for size in (dim.size for dim in infos[name].tensor_shape.dim))
            if (dtype, shape) != (tensor.dtype, tensor.shape):
                return f"{side} {name!r} is {dtype} {list(shape)}, promised is {tensor.dtype} {list(tensor.shape)}"
    defaults = {name: plain_default(tf.make_ndarray(proto)) for name, proto in definition.defaults.items()}
    if defaults != dict(promised.defaults):
        return f"its defaults are {defaults}, promised are {dict(promised.defaults)}"
    return None
