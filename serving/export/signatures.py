"""The signatures of an export, with pinned names; the model card lists those that a model has.

    serving_default   {model input: tensors}      -> probabilities | values | embedding | logits | features
    serve_bytes       {image_bytes: string [N]}   -> labels, scores, indices | values | features
    serve_text        {text: string [N]}          -> the same and `truncated`; embedding; words with labels; gaps
                      {text, text_pair}              for a model that reads pairs
    embed             {text: string [N]}          -> embedding, truncated
    serve_columns     {column: [N], ...}          -> as serve_bytes
    classify          {inputs: tf.Example [N]}    -> classes, scores
    regress           {inputs: tf.Example [N]}    -> outputs

Those of a language model are in `serving.export.text_generation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from serving.export.answers import Answers
from serving.export.examples import FEATURE_OF_INPUT, feature_spec
from serving.export.raw_inputs import raw_specs
from serving.export.signature import CLASSIFY, PREDICT, REGRESS, Body, Signature, make_signature
from zoo.preprocessing.transform import Transform

DEFAULT = "serving_default"
EMBED = "embed"
RAW_SIGNATURES = {"image": "serve_bytes", "text": "serve_text", "wordpiece": "serve_text", "byte_pair": "serve_text",
                  "string": "serve_text", "tabular": "serve_columns"}
_EXAMPLE_SIGNATURES = {"classification": CLASSIFY, "binary_classification": CLASSIFY, "regression": REGRESS}
# What TensorFlow Serving's Classify and Regress call the outputs.
_EXAMPLE_OUTPUTS = {"labels": "classes", "scores": "scores", "values": "outputs"}


def make_signatures(answers: Answers, transform: Transform) -> tuple[dict[str, Signature], dict[str, str]]:
    """All signatures that the model's task and inputs allow.

    Returns:
        Signatures by name, and for those that the task would have but this model cannot: the reason by name.
    """
    record, inputs = answers.record, answers.forward.inputs
    signatures = {DEFAULT: make_signature(DEFAULT, PREDICT, inputs, answers.plain)}
    raw = raw_specs(record)
    answer = _answer_to_raw(answers, transform, raw) if raw else answers.ranked
    if raw and record.task != "language_model":  # whose signatures for texts need more than the answer
        names = [RAW_SIGNATURES[record.preprocessing.kind], *([EMBED] if record.task == "embedding" else [])]
        signatures |= {name: make_signature(name, PREDICT, raw, answer) for name in names}
    name = _EXAMPLE_SIGNATURES.get(record.task)
    if name is None:
        return signatures, {}
    features = feature_spec(record.preprocessing, inputs)
    reason = features if isinstance(features, str) else _reason_against(name, answers)
    if reason:
        return signatures, {name: reason}
    specs = {"inputs": tf.TensorSpec([None], tf.string, name="inputs")}
    signatures[name] = make_signature(name, name, specs, _answer_to_examples(features, raw or inputs, answer))
    return signatures, {}


def _reason_against(name: str, answers: Answers) -> str | None:
    if name == REGRESS and answers.forward.outputs["values"].shape.as_list()[1:] != [1]:
        return (f"it answers with one number per row, and the model gives values of shape "
                f"{answers.forward.outputs['values'].shape.as_list()}")
    return None


def _answer_to_raw(answers: Answers, transform: Transform, raw: Mapping[str, Any]) -> Body:
    """From raw inputs to answers, as one traced function that several signatures share."""
    def answer(*tensors: Any) -> dict[str, Any]:
        return answers.to_raw(transform, tensors)

    specs = [tf.TensorSpec(spec.shape, spec.dtype) for spec in raw.values()]
    shared = tf.function(answer, input_signature=specs, autograph=False)
    return lambda tensors: dict(shared(*tensors))


def _answer_to_examples(features: Any, inputs: Mapping[str, Any], answer: Body) -> Body:
    def from_examples(tensors: list[Any]) -> dict[str, Any]:
        parsed = tf.io.parse_example(tensors[0], features)
        outputs = answer([tf.cast(parsed[FEATURE_OF_INPUT.get(name, name)], spec.dtype)
                          for name, spec in inputs.items()])
        return {_EXAMPLE_OUTPUTS[name]: value for name, value in outputs.items() if name in _EXAMPLE_OUTPUTS}

    return from_examples
