"""The signatures of an export, with pinned names; the model card lists those that a model has.

    serving_default   {model input: tensors}      -> probabilities | values | features
    serve_bytes       {image_bytes: string [N]}   -> labels, scores, indices | values | features
    serve_text        {text: string [N]}          -> the same
    serve_columns     {column: [N], ...}          -> the same
    classify          {inputs: tf.Example [N]}    -> classes, scores
    regress           {inputs: tf.Example [N]}    -> outputs
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from serving.errors import ExportError
from serving.export.examples import FEATURE_OF_INPUT, feature_spec
from serving.export.ranking import best_classes, decided_class, label_names
from serving.export.servable_module import Forward
from serving.manifest import SignatureContract, TensorContract
from zoo.preprocessing.transform import Transform
from zoo.spec import ImagePreprocessing, ModelRecord, TabularPreprocessing, TextPreprocessing

DEFAULT = "serving_default"
PREDICT, CLASSIFY, REGRESS = "predict", "classify", "regress"
RAW_SIGNATURES = {"image": "serve_bytes", "text": "serve_text", "tabular": "serve_columns"}
_EXAMPLE_SIGNATURES = {"classification": CLASSIFY, "binary_classification": CLASSIFY, "regression": REGRESS}
# What TensorFlow Serving's Classify and Regress call the outputs.
_EXAMPLE_OUTPUTS = {"labels": "classes", "scores": "scores", "values": "outputs"}
# What TensorFlow takes as the name of a function's argument without changing it.
_ARGUMENT = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

# From a signature's inputs in their pinned order to its outputs by name.
_Body = Callable[[list[Any]], dict[str, Any]]


@dataclass(frozen=True)
class Signature:
    """A signature to be written.

    Attributes:
        function: The tf.function; its arguments are called by `aliases` where a pinned name cannot name an argument.
        contract: Its pinned inputs and outputs.
        aliases: Pinned input name by the argument's name, only where they differ.
    """

    function: Any
    contract: SignatureContract
    aliases: Mapping[str, str]


@dataclass(frozen=True)
class Answers:
    """How the model's output becomes the answer of a signature."""

    forward: Forward
    record: ModelRecord
    names: tuple[str, ...]
    top_k: int | None

    @classmethod
    def of(cls, forward: Forward, record: ModelRecord, top_k: int) -> Answers:
        """Checks the model's output against its task.

        Raises:
            ExportError: Output, labels or `top_k` do not fit the task.
        """
        if record.task not in ("classification", "binary_classification"):
            return cls(forward, record, (), None)
        shape = forward.outputs["probabilities"].shape.as_list()
        binary = record.task == "binary_classification"
        if len(shape) != 2 or shape[1] is None or (binary and shape[1] != 1):
            raise ExportError(f"A model for {record.task} gives probabilities [N, {'1' if binary else 'classes'}]. "
                              f"Received an output of shape {shape}.")
        if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
            raise ExportError(f"`top_k` must be at least 1 label. Received: {top_k!r}")
        names = label_names(record.labels, 2 if binary else shape[1])
        return cls(forward, record, names, 2 if binary else min(top_k, len(names)))

    def plain(self, tensors: list[Any]) -> dict[str, Any]:
        """The model's outputs as they are."""
        return dict(self.forward.call(*tensors))

    def ranked(self, tensors: list[Any]) -> dict[str, Any]:
        """Labels, scores and indices for a classifier, the outputs as they are for other tasks."""
        outputs = self.plain(tensors)
        if self.top_k is None:
            return outputs
        probabilities = outputs["probabilities"]
        if self.record.task == "binary_classification":
            labels, scores, indices = decided_class(probabilities, self.names, self.record.threshold)
        else:
            labels, scores, indices = best_classes(probabilities, self.names, self.top_k)
        return {"labels": labels, "scores": scores, "indices": indices}


def make_signatures(answers: Answers, transform: Transform) -> tuple[dict[str, Signature], dict[str, str]]:
    """All signatures that the model's task and inputs allow.

    Returns:
        Signatures by name, and for those that the task would have but this model cannot: the reason by name.
    """
    kind = answers.record.preprocessing.kind
    signatures = {DEFAULT: _signature(DEFAULT, PREDICT, answers.forward.inputs, answers.plain)}
    raw = _raw_inputs(answers.record) or answers.forward.inputs
    answer = _answer_to_raw(answers, transform, raw)
    if kind in RAW_SIGNATURES:
        signatures[RAW_SIGNATURES[kind]] = _signature(RAW_SIGNATURES[kind], PREDICT, raw, answer)
    name = _EXAMPLE_SIGNATURES.get(answers.record.task)
    if name is None:
        return signatures, {}
    features = feature_spec(answers.record.preprocessing, answers.forward.inputs)
    reason = features if isinstance(features, str) else _reason_against(name, answers)
    if reason:
        return signatures, {name: reason}
    inputs = {"inputs": tf.TensorSpec([None], tf.string, name="inputs")}
    signatures[name] = _signature(name, name, inputs, _answer_to_examples(features, raw, answer))
    return signatures, {}


def _reason_against(name: str, answers: Answers) -> str | None:
    if name == REGRESS and answers.forward.outputs["values"].shape.as_list()[1:] != [1]:
        return (f"it answers with one number per row, and the model gives values of shape "
                f"{answers.forward.outputs['values'].shape.as_list()}")
    return None


def _raw_inputs(record: ModelRecord) -> dict[str, Any]:
    """What the preprocessing takes, by pinned name; nothing for a model that takes tensors."""
    match record.preprocessing:
        case ImagePreprocessing():
            return {"image_bytes": tf.TensorSpec([None], tf.string, name="image_bytes")}
        case TextPreprocessing():
            return {"text": tf.TensorSpec([None], tf.string, name="text")}
        case TabularPreprocessing(columns=columns):
            return {column.name: tf.TensorSpec([None], tf.float32 if column.kind == "numeric" else tf.string)
                    for column in columns}
        case _:
            return {}


def _answer_to_raw(answers: Answers, transform: Transform, raw: Mapping[str, Any]) -> _Body:
    """From raw inputs to ranked answers, as one traced function that two signatures share."""
    preprocess = _preprocess(transform, answers.record, list(raw))

    def answer(*tensors: Any) -> dict[str, Any]:
        return answers.ranked(preprocess(list(tensors)))

    specs = [tf.TensorSpec(spec.shape, spec.dtype) for spec in raw.values()]
    shared = tf.function(answer, input_signature=specs, autograph=False)
    return lambda tensors: dict(shared(*tensors))


def _preprocess(transform: Any, record: ModelRecord, names: list[str]) -> Callable[[list[Any]], list[Any]]:
    """From raw inputs to the model's tensors, both in their pinned order."""
    match record.preprocessing:
        case ImagePreprocessing():
            return lambda raw: [transform.batch_from_bytes(raw[0])]
        case TextPreprocessing():
            return lambda raw: [transform.batch(raw[0])]
        case TabularPreprocessing():
            return lambda raw: [transform.batch(dict(zip(names, raw, strict=True)))]
        case _:
            return lambda raw: raw


def _answer_to_examples(features: Any, raw: Mapping[str, Any], answer: _Body) -> _Body:
    def from_examples(tensors: list[Any]) -> dict[str, Any]:
        parsed = tf.io.parse_example(tensors[0], features)
        outputs = answer([tf.cast(parsed[FEATURE_OF_INPUT.get(name, name)], spec.dtype) for name, spec in raw.items()])
        return {_EXAMPLE_OUTPUTS[name]: value for name, value in outputs.items() if name in _EXAMPLE_OUTPUTS}

    return from_examples


def _signature(name: str, method: str, inputs: Mapping[str, Any], body: _Body) -> Signature:
    arguments = _argument_names(list(inputs))
    specs = [tf.TensorSpec(spec.shape, spec.dtype, name=argument)
             for argument, spec in zip(arguments, inputs.values(), strict=True)]

    def serve(*tensors: Any) -> dict[str, Any]:
        return body(list(tensors))

    serve.__name__ = name  # it becomes part of the function's name in the graph
    function = tf.function(serve, input_signature=specs, autograph=False)
    outputs = function.get_concrete_function().structured_outputs
    contract = SignatureContract(
        method=method,
        inputs={pinned: contract_of(spec) for pinned, spec in inputs.items()},
        outputs={key: contract_of(spec) for key, spec in outputs.items()},
    )
    aliases = {argument: pinned for argument, pinned in zip(arguments, inputs, strict=True) if argument != pinned}
    return Signature(function, contract, aliases)


def _argument_names(names: list[str]) -> list[str]:
    if all(_ARGUMENT.fullmatch(name) for name in names) and len({name.lower() for name in names}) == len(names):
        return names
    # tf.saved_model.load passes inputs in the order of their sorted names, so the stand-ins must sort alike.
    ranks = {name: rank for rank, name in enumerate(sorted(names))}
    return [f"input_{ranks[name]:05d}" for name in names]


def contract_of(spec: Any) -> TensorContract:
    """The contract of a tf.TensorSpec or tf.Tensor; the first axis counts as any size."""
    return TensorContract(dtype=tf.as_dtype(spec.dtype).name, shape=(None, *spec.shape.as_list()[1:]))
