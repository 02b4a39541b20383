"""One signature of an export: a traced function with pinned names, and what it promises."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from serving.manifest import SignatureContract, TensorContract

PREDICT, CLASSIFY, REGRESS = "predict", "classify", "regress"
# What TensorFlow takes as the name of a function's argument without changing it.
_ARGUMENT = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

# From a signature's inputs in their pinned order to its outputs by name.
Body = Callable[[list[Any]], dict[str, Any]]


@dataclass(frozen=True)
class Signature:
    """A signature to be written.

    Attributes:
        function: The tf.function; its arguments are called by `aliases` where a pinned name cannot name an argument.
        contract: Its pinned inputs and outputs.
        aliases: Pinned input name by the argument's name, only where they differ.
        defaults: What stands in for inputs that a request leaves out, as arrays by pinned name. TensorFlow Serving
            fills them in for gRPC; REST wants every input.
    """

    function: Any
    contract: SignatureContract
    aliases: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)


def make_signature(name: str, method: str, inputs: Mapping[str, Any], body: Body, *,
                   defaults: Mapping[str, Any] | None = None) -> Signature:
    """Traces a signature.

    Args:
        name: Its pinned name.
        method: "predict", "classify" or "regress".
        inputs: tf.TensorSpec by pinned input name, in the order in which `body` takes them.
        body: From the inputs to the outputs by pinned name.
        defaults: For inputs that a request may leave out, what stands in for them: arrays, numbers, strings or lists of
            them that become the input's kind. The shape must fit the input's.

    Returns:
        The signature; the first axis of every tensor counts as the batch.
    """
    arguments = _argument_names(list(inputs))
    specs = [tf.TensorSpec(spec.shape, spec.dtype, name=argument)
             for argument, spec in zip(arguments, inputs.values(), strict=True)]

    def serve(*tensors: Any) -> dict[str, Any]:
        return body(list(tensors))

    serve.__name__ = name  # it becomes part of the function's name in the graph
    function = tf.function(serve, input_signature=specs, autograph=False)
    outputs = function.get_concrete_function().structured_outputs
    standing_in = {pinned: as_array(value, inputs[pinned]) for pinned, value in (defaults or {}).items()}
    contract = SignatureContract(
        method=method,
        inputs={pinned: contract_of(spec) for pinned, spec in inputs.items()},
        outputs={key: contract_of(spec) for key, spec in outputs.items()},
        defaults={pinned: plain_default(array) for pinned, array in standing_in.items()},
    )
    aliases = {argument: pinned for argument, pinned in zip(arguments, inputs, strict=True) if argument != pinned}
    return Signature(function, contract, aliases, standing_in)


def as_array(value: Any, spec: Any) -> np.ndarray[Any, Any]:
    """A default as an array of the input's kind; strings become bytes in an array of dtype object."""
    tensor = tf.constant(value, spec.dtype)
    if not spec.shape.is_compatible_with(tensor.shape):
        raise ValueError(f"A default of shape {tensor.shape} does not fit an input of shape {spec.shape}.")
    array = np.asarray(tensor.numpy())
    return array.astype(object) if spec.dtype == tf.string else array


def plain_default(array: np.ndarray[Any, Any]) -> Any:
    """A default as JSON-ready data: nested lists of numbers and text."""
    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(item) for item in value]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    return plain(array.tolist())


def contract_of(spec: Any) -> TensorContract:
    """The contract of a tf.TensorSpec or tf.Tensor; the first axis counts as any size."""
    return TensorContract(dtype=tf.as_dtype(spec.dtype).name, shape=(None, *spec.shape.as_list()[1:]))


def _argument_names(names: list[str]) -> list[str]:
    if all(_ARGUMENT.fullmatch(name) for name in names) and len({name.lower() for name in names}) == len(names):
        return names
    # tf.saved_model.load passes inputs in the order of their sorted names, so the stand-ins must sort alike.
    ranks = {name: rank for rank, name in enumerate(sorted(names))}
    return [f"input_{ranks[name]:05d}" for name in names]
