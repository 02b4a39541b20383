"""The JSON bodies of TensorFlow Serving's REST interface, read and written for both sides.

Rows: `{"instances": [...]}` is answered by `{"predictions": [...]}`; columns: `{"inputs": ...}` by `{"outputs": ...}`.
A single named tensor stands without its name. Outputs named `*_bytes` are base64 objects, other strings are text.
Classify and regress answer with the key `results` (the documentation says `result`; the server's code does not).
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from serving.errors import InternalServerError, InvalidRequestError
from serving.protocol.arrays import as_array
from serving.protocol.examples import ExampleValues, examples_from_json
from serving.protocol.json_values import array_from_json, encode_base64, is_base64_object, json_from_array, shown
from serving.protocol.signatures import TensorSpec

Arrays = dict[str, np.ndarray[Any, Any]]

_BYTES_SUFFIX: Final = "_bytes"


class BodyFormat(enum.Enum):
    """How a predict body is laid out."""

    ROW = "instances"
    COLUMN = "inputs"


@dataclass(frozen=True)
class PredictBody:
    """A predict body that is parsed but not yet matched with a signature."""

    signature_name: str
    format: BodyFormat
    content: Any

    def inputs(self, specs: Mapping[str, TensorSpec]) -> Arrays:
        """The body's arrays by input name.

        Args:
            specs: The signature's inputs.

        Returns:
            One array per input.

        Raises:
            InvalidRequestError: Missing or unknown names, ragged or mistyped values.
        """
        if not specs:
            raise InvalidRequestError(f"Failed to get input map for signature: {self.signature_name or 'DEFAULT'}")
        return _from_rows(self.content, specs) if self.format is BodyFormat.ROW else _from_columns(self.content, specs)


@dataclass(frozen=True)
class ExamplesBody:
    """A classify or regress body: the signature's name ("" = default) and serialized tf.Examples."""

    signature_name: str
    examples: list[bytes]


def parse_predict_body(body: bytes) -> PredictBody:
    """A predict request's body, parsed.

    Args:
        body: JSON text in UTF-8.

    Returns:
        The parsed body; call `inputs` with the signature for its arrays.

    Raises:
        InvalidRequestError: Not JSON, not an object, or none or both of `instances` and `inputs`.
    """
    document = _parse_object(body)
    name = _signature_name(document)
    present = [layout for layout in BodyFormat if layout.value in document]
    if len(present) == 2:
        raise InvalidRequestError(
            f"JSON Value: {shown(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' keys "
            "to exist"
        )
    if not present:
        raise InvalidRequestError("Missing 'inputs' or 'instances' key")
    content = document[present[0].value]
    if present[0] is BodyFormat.ROW:
        if not isinstance(content, list):
            raise InvalidRequestError(f"JSON Value: {shown(document)} Excepting 'instances' to be an list/array")
        if not content:
            raise InvalidRequestError(f"JSON Value: {shown(document)} No values in 'instances' array")
    return PredictBody(name, present[0], content)


def parse_examples_body(body: bytes) -> ExamplesBody:
    """A classify or regress request's body, parsed.

    Args:
        body: JSON text in UTF-8.

    Returns:
        The signature's name and the serialized examples, at least one.

    Raises:
        InvalidRequestError: Not JSON, no `examples`, or values that no tf.Example holds.
    """
    document = _parse_object(body)
    name = _signature_name(document)
    if "examples" not in document:
        raise InvalidRequestError(
            f"JSON Value: {shown(document)} When method is classify, key 'examples' is expected and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise InvalidRequestError(f"JSON Value: {shown(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise InvalidRequestError(f"JSON Value: {shown(document)} 'examples' value is an empty array")
    return ExamplesBody(name, examples_from_json(examples, document.get("context")))


def predict_answer(outputs: Mapping[str, np.ndarray[Any, Any]], layout: BodyFormat) -> bytes:
    """The body of a predict answer.

    Args:
        outputs: Arrays by output name.
        layout: The request's layout.

    Returns:
        JSON text.

    Raises:
        InvalidRequestError: Rows are asked for and the outputs have no equal first dimension, or JSON has no form for
            an output's kind.
    """
    if not outputs:
        raise InvalidRequestError("Cannot convert empty tensor map to JSON")
    if layout is BodyFormat.ROW:
        _check_equal_rows(outputs)
    values = {
        name: json_from_array(array, as_bytes=name.endswith(_BYTES_SUFFIX)) for name, array in sorted(outputs.items())
    }
    alone = next(iter(values.values())) if len(values) == 1 else None
    if layout is BodyFormat.COLUMN:
        return to_json({"outputs": values if alone is None else alone})
    if alone is not None:
        return to_json({"predictions": alone})
    return to_json({"predictions": [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]})


def classify_answer(classifications: Sequence[Sequence[tuple[str, float]]]) -> bytes:
    """The body of a classify answer: `{"results": [[[label, score], ...], ...]}`, one list per example."""
    return to_json({"results": [[[label, _short(score)] for label, score in row] for row in classifications]})


def regress_answer(values: Sequence[float]) -> bytes:
    """The body of a regress answer: `{"results": [value, ...]}`, one value per example."""
    return to_json({"results": [_short(value) for value in values]})


def error_answer(message: str) -> bytes:
    """The body of every answer that is no success."""
    # In ASCII, because a message can quote half of a surrogate pair from the request.
    return json.dumps({"error": message}).encode("ascii")


def predict_body(inputs: Mapping[str, np.ndarray[Any, Any]], specs: Mapping[str, TensorSpec], name: str) -> bytes:
    """A predict request's body in columns, which can hold tensors of any shape.

    Args:
        inputs: Arrays by input name.
        specs: The signature's inputs; it decides which strings are bytes and whether the only input stands unnamed.
        name: The signature's name.

    Returns:
        JSON text. All strings are base64 objects, so that any bytes arrive as they are.
    """
    values = {key: json_from_array(array, as_bytes=True) for key, array in inputs.items()}
    unnamed = len(specs) == 1 and list(values) == list(specs)
    return to_json({"signature_name": name, "inputs": next(iter(values.values())) if unnamed else values})


def examples_body(examples: Sequence[ExampleValues], name: str) -> bytes:
    """A classify or regress request's body.

    Args:
        examples: Values by feature name; see `example_from_values`.
        name: The signature's name.

    Returns:
        JSON text.
    """
    rows = [{feature: _feature_values(feature, value) for feature, value in example.items()} for example in examples]
    return to_json({"signature_name": name, "examples": rows})


def outputs_of_answer(body: bytes, specs: Mapping[str, TensorSpec]) -> Arrays:
    """The arrays of a predict answer in columns, in the kinds that the signature names.

    Args:
        body: JSON text.
        specs: The signature's outputs.

    Returns:
        Arrays by output name.

    Raises:
        InternalServerError: The body is not an answer to a predict request with this signature.
    """
    content = answer_value(body, "outputs")
    if len(specs) == 1:
        content = {next(iter(specs)): content}
    if not isinstance(content, dict) or not set(content) <= set(specs):
        raise InternalServerError(
            f"The answer's outputs are {shown(content)}, but the signature's are named {', '.join(specs)}."
        )
    try:
        return {name: array_from_json(_restored(value, specs[name]), specs[name]) for name, value in content.items()}
    except InvalidRequestError as error:
        raise InternalServerError(f"The answer does not fit the signature that the server tells: {error}") from error


def answer_value(body: bytes, key: str) -> Any:
    """One key's value in an answer's body.

    Raises:
        InternalServerError: The body is not a JSON object with this key.
    """
    try:
        # TensorFlow Serving writes strings that are not UTF-8 as they are.
        document = json.loads(body.decode("utf-8", "surrogateescape"))
        return document[key]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise InternalServerError(
            f"The server's answer is not a JSON object with the key {key!r}: {body[:200]!r}"
        ) from error


def to_json(value: Any) -> bytes:
    """JSON text with NaN and Infinity tokens; strings as UTF-8, lone surrogates as the bytes they stand for."""
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    return text.encode("utf-8", "surrogateescape")


def _parse_object(body: bytes) -> dict[str, Any]:
    if not body:
        raise InvalidRequestError("JSON Parse error: The document is empty")
    try:
        document = json.loads(body.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise InvalidRequestError(f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"JSON Parse error: not UTF-8 at offset: {error.start}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets within brackets
        raise InvalidRequestError("JSON Parse error: nested too deeply, or a number with too many digits") from error
    if not isinstance(document, dict):
        raise InvalidRequestError(f"JSON Value: {shown(document)} Is not object")
    return document


def _signature_name(document: dict[str, Any]) -> str:
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise InvalidRequestError(
            f"JSON Value: {shown(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def _is_named_row(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64_object(value)


def _from_rows(rows: list[Any], specs: Mapping[str, TensorSpec]) -> Arrays:
    if not isinstance(rows[0], dict) and len(specs) > 1:
        raise InvalidRequestError(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            f"tensorinfo_map: {', '.join(sorted(specs))}"
        )
    named = _is_named_row(rows[0])
    for index, row in enumerate(rows):
        if _is_named_row(row) != named:
            came, wanted = ("object", "value/list") if not named else ("list", "object")
            raise InvalidRequestError(f"Expecting {wanted} but got {came} at item {index} of input list")
        if named and set(row) != set(specs):
            raise InvalidRequestError(
                f"Failed to process element: {index} of 'instances' list. JSON object: {shown(row)} keys must be equal "
                f"to: {','.join(sorted(specs))}"
            )
    if not named:
        name = next(iter(specs))
        return {name: _column(rows, name, specs[name], named=False)}
    return {name: _column([row[name] for row in rows], name, spec, named=True) for name, spec in specs.items()}


def _column(values: list[Any], name: str, spec: TensorSpec, *, named: bool) -> np.ndarray[Any, Any]:
    try:
        return array_from_json(values, spec)
    except InvalidRequestError as error:
        key = f" key: {name}" if named else ""
        raise InvalidRequestError(f"Failed to process{key} of 'instances' list. Error: {error}") from error


def _from_columns(content: Any, specs: Mapping[str, TensorSpec]) -> Arrays:
    if not _is_named_row(content):
        if len(specs) > 1:
            raise InvalidRequestError(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                f"tensorinfo_map: {', '.join(sorted(specs))}"
            )
        return {name: array_from_json(content, spec) for name, spec in specs.items()}
    for name in specs:
        if name not in content:
            raise InvalidRequestError(f"Missing named input: {name} in 'inputs' object.")
    return {name: array_from_json(content[name], spec) for name, spec in specs.items()}


def _check_equal_rows(outputs: Mapping[str, np.ndarray[Any, Any]]) -> None:
    rows: int | None = None
    for name, array in sorted(outputs.items()):
        if array.ndim == 0:
            raise InvalidRequestError(f"Tensor name: {name} has no shape information")
        if rows is not None and array.shape[0] != rows:
            raise InvalidRequestError(
                f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} expecting: {rows}"
            )
        rows = array.shape[0]


def _short(value: float) -> float:
    # float32 numbers as the shortest decimal: 0.1, not 0.10000000149011612
    return float(str(np.float32(value)))


def _feature_values(name: str, value: ArrayLike) -> Any:
    array = as_array(value, name).reshape(-1)
    if array.dtype.kind == "O":
        return [encode_base64(element) for element in array]
    return array.astype(np.int64).tolist() if array.dtype.kind in "iub" else json_from_array(array)


def _restored(value: Any, spec: TensorSpec) -> Any:
    """An answer's value with its strings' bytes: text may stand for bytes that are not UTF-8."""
    if not spec.is_string:
        return value
    if isinstance(value, list):
        return [_restored(element, spec) for element in value]
    if isinstance(value, str):
        return encode_base64(value.encode("utf-8", "surrogateescape"))
    return value
