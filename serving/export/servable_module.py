"""The tf.Module that becomes the SavedModel: each weight once, the forward pass traced once for all signatures.

The module holds plain tf.Variables, the tables and files of the preprocessing and of layers, and nothing else. The
Keras model lives in closures only: as an attribute it would be tracked, which stores every weight twice and an
optimizer's slots with it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from serving.errors import ExportError
from serving.export.row_parts import in_row_parts
from serving.export.token_checks import TokenLimits
from zoo.preprocessing.transform import Transform
from zoo.spec import ModelRecord

# Names that Keras makes up count upwards through a process, so they are no contract with a client.
_MADE_UP_NAME = re.compile(r"(input_layer|keras_tensor|input)(_\d+)?")
_RESOURCES = (tf.saved_model.experimental.TrackableResource, tf.saved_model.Asset)
_OUTPUT_NAMES = {"features": "features", "regression": "values", "embedding": "embedding",
                 "masked_language_model": "logits", "language_model": "logits"}


@dataclass(frozen=True)
class Forward:
    """A model's forward pass as one traced function.

    Attributes:
        inputs: tf.TensorSpec [N, ...] by pinned name, in the order in which the model takes them.
        outputs: tf.TensorSpec [N, ...] float32 by pinned name.
        call: From a list of tensors in the order of `inputs` to a dict of the outputs. Any N, 0 as well.
        variables: The tf.Variables that it reads, in the order of `model.variables`.
        resources: Tables and files that its layers hold.
        longest: The most tokens per row that it reads; None where there is no such limit.
    """

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    call: Any
    variables: tuple[Any, ...] = field(repr=False)
    resources: tuple[Any, ...] = field(default=(), repr=False)
    longest: int | None = None


class ServableModule(tf.Module):  # type: ignore[misc]
    """What is tracked, and so written: the weights, and the resources of layers and the transform."""

    def __init__(self, forward: Forward, transform: Transform) -> None:
        super().__init__(name="servable")
        self.weights = list(forward.variables)
        self.resources = list(forward.resources)
        self.transform = transform


@dataclass(frozen=True)
class Rewritten:
    """Another way to compute what a model computes, over variables of its own.

    Attributes:
        call: From the model's inputs by name to its output. Where it may be called in parts of the rows, it also takes
            the values of the variables, in their order.
        variables: The tf.Variables that it reads.
    """

    call: Callable[..., Any]
    variables: tuple[Any, ...] = field(repr=False)


def trace_forward(model: Any, record: ModelRecord, rewritten: Rewritten | None = None, *,
                  parts: int = 1) -> Forward:
    """Traces the model once, in inference mode, without XLA, with float32 at both ends.

    Args:
        model: A functional or Sequential keras.Model that has been built.
        record: Its record.
        rewritten: What to trace in its place; None for the model itself.
        parts: In how many parts of its rows a request is computed at most, see `in_row_parts`.

    Raises:
        ExportError: The model has no declared inputs, or more outputs than its task allows.
    """
    inputs = input_specs(model, record)
    names = _output_names(model, record)
    limits = TokenLimits.of(model, list(inputs))

    def forward(*tensors: Any) -> dict[str, Any]:
        rows = tf.shape(tensors[0])[0]
        # oneDNN's convolution gives an empty batch the wrong shape, so an empty one is computed with one row of zeros.
        # Where N > 0 the tensors pass through without a copy.
        filled = {name: _never_empty(tensor, tf.equal(rows, 0)) for name, tensor in zip(inputs, tensors, strict=True)}
        checked = list(limits.checked(filled).values())
        if rewritten and parts > 1:
            # Read before: a loop waits at each turn for what reads variables, and its turns are to overlap.
            values = [tf.convert_to_tensor(variable) for variable in rewritten.variables]
            found = in_row_parts(partial(compute, values), traced_outputs(), checked, parts)
        else:
            found = compute((), *checked)
        return {name: tensor[:rows] for name, tensor in found.items()}

    def compute(values: Sequence[Any], *tensors: Any) -> dict[str, Any]:
        if rewritten:
            outputs = rewritten.call(dict(zip(inputs, tensors, strict=True)), *([values] if values else []))
        else:
            outputs = model(arranged(model, list(tensors)), training=False)
        return {name: tf.cast(tensor, tf.float32)
                for name, tensor in zip(names, tf.nest.flatten(outputs), strict=True)}

    def traced_outputs() -> dict[str, Any]:
        return _outputs_of(tf.function(partial(compute, ()), input_signature=list(inputs.values()), autograph=False))

    call = tf.function(forward, input_signature=list(inputs.values()), autograph=False)
    with portable_recurrence(model):
        concrete = call.get_concrete_function()
    captured = {id(variable) for variable in concrete.variables}
    known = rewritten.variables if rewritten else [variable.value for variable in model.variables]
    own = tuple(variable for variable in known if id(variable) in captured)
    resources = tuple(resource for layer in model._flatten_layers() for resource in resources_of(layer))
    return Forward(inputs, _outputs_of(call), call, own, resources, limits.longest)


def _outputs_of(call: Any) -> dict[str, Any]:
    """The outputs of a traced function of rows: tf.TensorSpec [N, ...] by name."""
    return {name: tf.TensorSpec([None, *spec.shape[1:]], tf.float32, name=name)
            for name, spec in call.get_concrete_function().structured_outputs.items()}


def resources_of(layer: Any) -> list[Any]:
    """The tables and files that a layer computes with and that are no variables of it.

    Args:
        layer: A keras.Layer. One that keeps them out of its attributes, or inside something larger, names them in an
            attribute or property `export_resources`, a sequence of tf.lookup tables, tf.saved_model.Asset and other
            trackable objects.
    """
    named = getattr(layer, "export_resources", None)
    if named is not None:
        return list(named)
    return [value for value in vars(layer).values() if isinstance(value, _RESOURCES)]


def _never_empty(tensor: Any, is_empty: Any) -> Any:
    """The tensor itself, or one row of zeros in place of an empty batch; an axis without any size gets one place."""
    shape = tf.concat([[1], tf.maximum(tf.shape(tensor)[1:], 1)], axis=0)
    # Not tf.pad: oneDNN fuses it with a convolution that follows and forgets the batch axis.
    filled = tf.cond(is_empty, lambda: tf.zeros(shape, tensor.dtype), lambda: tensor)
    filled.set_shape([None, *tensor.shape[1:]])
    return filled


def arranged(model: Any, tensors: list[Any]) -> Any:
    """Tensors in the order of `Forward.inputs`, in the structure (one, list or dict) and dtypes that a model takes."""
    cast = [tf.cast(tensor, tf.as_dtype(tensor_of_model.dtype))
            for tensor, tensor_of_model in zip(tensors, model.inputs, strict=True)]
    # A Sequential model has no `input` until it was called; it takes one tensor.
    return cast[0] if isinstance(model, keras.Sequential) else tf.nest.pack_sequence_as(model.input, cast)


def input_specs(model: Any, record: ModelRecord) -> dict[str, Any]:
    """The model's inputs by pinned name, in the order of `model.inputs`: tf.TensorSpec [N, ...].

    Raises:
        ExportError: It declares none, or two of the same name.
    """
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise ExportError(f"The model {getattr(model, 'name', model)!r} declares no inputs. Only functional and built "
                          "Sequential Keras models can be exported; make it one with keras.Model(inputs, outputs).")
    names = [tensor.name for tensor in inputs]
    if any(_MADE_UP_NAME.fullmatch(name) for name in names):
        names = _names_by_meaning(record, len(names))
    specs = {}
    for name, tensor in zip(names, inputs, strict=True):
        dtype = tf.as_dtype(tensor.dtype)
        specs[name] = tf.TensorSpec([None, *tensor.shape[1:]], tf.float32 if dtype.is_floating else dtype, name=name)
    if len(specs) != len(names):
        raise ExportError(f"Two inputs of the model have the same name. Received: {', '.join(names)}. "
                          "Name each with keras.Input(..., name=...).")
    return specs


def _names_by_meaning(record: ModelRecord, count: int) -> list[str]:
    if count > 1:
        return [f"input_{index}" for index in range(count)]
    return [{"image": "image", "text": "tokens", "sequence": "sequence"}.get(record.input_kind, "features")]


def _output_names(model: Any, record: ModelRecord) -> list[str]:
    outputs = model.outputs[0] if isinstance(model, keras.Sequential) else model.output
    if len(tf.nest.flatten(outputs)) == 1 and not (record.task == "features" and isinstance(outputs, Mapping)):
        return [_OUTPUT_NAMES.get(record.task, "probabilities")]
    if record.task != "features":
        raise ExportError(f"A model for {record.task} has one output. Received: {len(tf.nest.flatten(outputs))}. "
                          "Export a keras.Model with the one that answers the task, or give it a record with the task "
                          "'features'.")
    if isinstance(outputs, Mapping):
        return sorted(outputs)  # the order in which tf.nest flattens a dict
    return [f"features_{index}" for index in range(len(tf.nest.flatten(outputs)))]


@contextlib.contextmanager
def portable_recurrence(model: Any) -> Iterator[None]:
    """Makes recurrent layers trace plain while loops.

    On a machine with a GPU they would trace cuDNN operations, which a TensorFlow Serving without one cannot run.
    """
    layers = [layer for layer in model._flatten_layers() if hasattr(layer, "use_cudnn")]
    before = [layer.use_cudnn for layer in layers]
    for layer in layers:
        layer.use_cudnn = False
    try:
        yield
    finally:
        for layer, value in zip(layers, before, strict=True):
            layer.use_cudnn = value
