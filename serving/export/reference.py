"""What the Keras model itself answers, along the training path and ranked with numpy: an export's golden vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving.errors import ExportError
from serving.export.answers import RANKED_TASKS, Answers
from serving.export.examples import FEATURE_OF_INPUT
from serving.export.generation_reference import generated, generation_inputs, scored
from serving.export.golden import certain_positions, encode
from serving.export.optimize.agreement import Answers as Compared
from serving.export.optimize.agreement import agreement
from serving.export.raw_inputs import TRUNCATED_OUTPUT, in_order, reads_texts
from serving.export.samples import Samples, strings
from serving.export.servable_module import Forward, arranged
from serving.export.signature import CLASSIFY, REGRESS, Signature
from serving.export.signatures import DEFAULT, EMBED, RAW_SIGNATURES
from serving.export.text_generation import GENERATE, SCORE
from serving.export.text_reference import filled, labelled
from serving.protocol.examples import example_from_values
from zoo.preprocessing.transform import Transform
from zoo.spec import ModelRecord

Array = NDArray[Any]

_FLOAT32_TOLERANCE = {"absolute": 1e-5, "relative": 1e-3}
_LOW_PRECISION_TOLERANCE = {"absolute": 1e-2, "relative": 3e-2}
# A number on the border of two integers goes to one or the other: a 127th of the largest one.
_INTEGER_TOLERANCE = {"absolute": 2e-2, "relative": 6e-2}


class AsWritten:
    """Answers in a model's place as the graph that is written does.

    Fewer bits are too coarse for Keras's answers to be a yardstick of a server: how far the graph is from Keras is said
    elsewhere in the manifest, and golden answers are those that every server gives.

    Args:
        model: The keras.Model.
        forward: What is written of it.
    """

    def __init__(self, model: Any, forward: Forward) -> None:
        self.inputs, self.input = model.inputs, model.inputs
        self._forward = forward

    def __call__(self, inputs: Any, training: bool = False) -> Any:
        """Returns the output, or a list of them in their order; `training` is what Keras asks, and False."""
        outputs = self._forward.call(*map(tf.convert_to_tensor, tf.nest.flatten(inputs)))
        all_of_them = [outputs[name] for name in self._forward.outputs]
        return all_of_them[0] if len(all_of_them) == 1 else all_of_them


def tolerance_for(model: Any, *, precision: str = "float32") -> dict[str, float]:
    """How far an answer may be from the golden one: wider where the model, or its rewritten graph, takes fewer bits.

    Args:
        model: The keras.Model.
        precision: The numbers that what is written computes in, whatever the model does.
    """
    low = any(getattr(layer, "compute_dtype", None) in ("float16", "bfloat16") for layer in model._flatten_layers())
    if precision == "int8":
        return dict(_INTEGER_TOLERANCE)
    return dict(_LOW_PRECISION_TOLERANCE if low or precision != "float32" else _FLOAT32_TOLERANCE)


def how_far(model: Any, forward: Forward, samples: Samples) -> dict[str, float | None]:
    """Compares what is written with the Keras model, on the samples as tensors.

    Args:
        model: The keras.Model.
        forward: What is written of it.
        samples: The requests.

    Returns:
        JSON-ready: "error", the largest difference relative to the largest output, and "same_label", the share of
        places with the same best label or next token.
    """
    tensors = [tf.constant(array) for array in samples.tensors.values()]
    both = [Compared((_flat(network(arranged(model, tensors), training=False)),), ())
            for network in (model, AsWritten(model, forward))]
    found = agreement(*both)
    return {"error": float(f"{found.error:.2g}"), "same_label": found.same_label}


def signature_inputs(name: str, samples: Samples) -> dict[str, Array]:
    """The samples as a signature takes them: arrays [n, ...] by input name."""
    if name == DEFAULT:
        return dict(samples.tensors)
    if name in RAW_SIGNATURES.values() or name == EMBED:
        return dict(samples.raw)
    if name == GENERATE:
        return generation_inputs(samples)
    if name == SCORE:
        return dict(samples.raw)
    return {"inputs": strings(serialized_examples(samples))}


def serialized_examples(samples: Samples) -> list[bytes]:
    """The samples as serialized tf.Examples."""
    features = {FEATURE_OF_INPUT.get(name, name): values for name, values in (samples.raw or samples.tensors).items()}
    rows = len(next(iter(features.values())))
    return [example_from_values({name: values[row] for name, values in features.items()})
            .SerializeToString(deterministic=True) for row in range(rows)]


def golden_vectors(model: Any, answers: Answers, transform: Transform, signatures: Mapping[str, Signature],
                   samples: Samples, tolerance: Mapping[str, float]) -> list[dict[str, Any]]:
    """One golden vector per signature; none for a language model's `serve_text`.

    Args:
        model: The Keras model, which answers eagerly, or an `AsWritten`.
        answers: How its outputs become answers.
        transform: The preprocessing; pictures go through `from_bytes` one by one, as in training.
        signatures: The signatures to cover.
        samples: The requests.
        tolerance: See `tolerance_for`.

    Raises:
        ExportError: The model answers NaN or infinity, or a classifier something that is no probability.
    """
    direct = _outputs(model, answers, list(samples.tensors.values()))
    takes_raw = bool(samples.raw) and answers.record.task != "language_model"
    made = transformed(transform, answers.record, answers.forward, samples) if takes_raw else []
    through = _outputs(model, answers, made) if takes_raw else direct
    vectors: list[dict[str, Any]] = []
    for name in signatures:
        if answers.record.task == "language_model" and name != DEFAULT:
            vectors += _generation_vector(name, model, transform, samples, answers, tolerance)
            continue
        outputs, certain = (direct, {}) if name == DEFAULT else _answer(through, made, answers, transform, samples,
                                                                       tolerance)
        vectors.append({"signature": name, **({"certain": None} | certain),
                        "inputs": {key: encode(value) for key, value in signature_inputs(name, samples).items()},
                        "outputs": {key: encode(value, sample=True) for key, value in _shaped(name, outputs).items()}})
    return vectors


def _generation_vector(name: str, model: Any, transform: Any, samples: Samples, answers: Answers,
                       tolerance: Mapping[str, float]) -> list[dict[str, Any]]:
    """One vector, or none for `serve_text`, which is `generate` with its defaults and takes long."""
    longest = min(answers.forward.longest or transform.spec.max_length, transform.spec.max_length)
    inputs = signature_inputs(name, samples)
    if name == GENERATE:
        inputs, outputs = generated(model, transform, samples, longest, tolerance)
    elif name == SCORE:
        outputs = scored(model, transform, samples, longest)
    else:
        return []
    return [{"signature": name, "certain": None, "inputs": {key: encode(value) for key, value in inputs.items()},
             "outputs": {key: encode(value) for key, value in outputs.items()}}]


def _answer(outputs: dict[str, Array], tensors: list[Array], answers: Answers, transform: Any, samples: Samples,
            tolerance: Mapping[str, float]) -> tuple[dict[str, Array], dict[str, Any]]:
    """The answer to raw inputs or tf.Examples, and what a golden vector says about the order in it."""
    task, certain = answers.record.task, {}
    if task in RANKED_TASKS:
        both = _both_classes(outputs["probabilities"], answers)
        order = _order(outputs["probabilities"], answers)
        outputs, certain = _ranked(both, order, answers), {"certain": certain_positions(both, order, tolerance)}
    if task == "token_classification" and samples.raw:
        outputs, certain = labelled(outputs["probabilities"], transform, samples.raw["text"], answers.names, tolerance)
    if task == "masked_language_model" and samples.raw and answers.top_k is not None:
        token_ids = dict(zip(answers.forward.inputs, tensors, strict=True))["token_ids"]
        outputs, certain = filled(outputs["logits"], token_ids, transform, answers.top_k, tolerance)
    if reads_texts(answers.record):
        outputs = outputs | {TRUNCATED_OUTPUT: np.asarray(transform.truncated(*samples.raw.values()))}
    return outputs, certain


def transformed(transform: Any, record: ModelRecord, forward: Forward, samples: Samples) -> list[Array]:
    """What the training path makes of the raw samples: arrays in the order of `Forward.inputs`.

    Args:
        transform: The preprocessing.
        record: The model's.
        forward: The model's inputs.
        samples: With raw rows.
    """
    if "image_bytes" in samples.raw and hasattr(transform, "from_bytes"):
        pictures = samples.raw["image_bytes"]
        return [np.stack([transform.from_bytes(tf.constant(picture)).numpy() for picture in pictures])]
    columns = {name: tf.constant(values) for name, values in samples.raw.items()}
    if not reads_texts(record):
        return [np.asarray(transform.batch(columns))]
    return [np.asarray(tensor) for tensor in in_order(transform.batch(*columns.values()), forward)]


def _outputs(model: Any, answers: Answers, tensors: list[Array]) -> dict[str, Array]:
    result = model(arranged(model, [tf.constant(tensor) for tensor in tensors]), training=False)
    outputs = dict(zip(answers.forward.outputs, _flat(result), strict=True))
    for name, array in outputs.items():
        _check_numbers(name, array)
    return outputs


def _flat(outputs: Any) -> list[Array]:
    return [tf.cast(tensor, tf.float32).numpy() for tensor in tf.nest.flatten(outputs)]


def _check_numbers(name: str, array: Array) -> None:
    if not np.isfinite(array).all():
        raise ExportError(f"The model answers NaN or infinity in {name!r} to a sample input: its weights are broken, "
                          "or the sample is outside what it was trained on. Export a healthy checkpoint, or give "
                          "`samples`.")
    if name != "probabilities":
        return
    sums_to_one = array.shape[-1] == 1 or np.allclose(array.sum(axis=-1), 1.0, atol=2e-2)
    if not sums_to_one or array.min() < -1e-3 or array.max() > 1 + 1e-3:
        raise ExportError(f"The model's output is no probability (from {array.min():.3g} to {array.max():.3g}; a row "
                          f"sums to {array[0].sum():.3g}). Build it with classifier_activation='softmax' for classes, "
                          "'sigmoid' for a binary classifier.")


def _both_classes(probabilities: Array, answers: Answers) -> Array:
    if answers.record.task != "binary_classification":
        return probabilities
    return np.concatenate([np.float32(1.0) - probabilities, probabilities], axis=1)


def _order(probabilities: Array, answers: Answers) -> Array:
    if answers.record.task == "binary_classification":
        first = (probabilities >= np.float32(answers.record.threshold)).astype(np.int32)
        return np.concatenate([first, 1 - first], axis=1)
    return np.argsort(-probabilities, axis=1, kind="stable")[:, :answers.top_k].astype(np.int32)


def _ranked(scores: Array, order: Array, answers: Answers) -> dict[str, Array]:
    labels = strings([answers.names[index].encode() for index in order.reshape(-1)]).reshape(order.shape)
    return {"labels": labels, "scores": np.take_along_axis(scores, order, axis=1), "indices": order}


def _shaped(name: str, outputs: dict[str, Array]) -> dict[str, Array]:
    if name == CLASSIFY:
        return {"classes": outputs["labels"], "scores": outputs["scores"]}
    return {"outputs": outputs["values"]} if name == REGRESS else outputs
