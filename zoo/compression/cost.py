"""What a model costs: parameters, those that are not zero, and the arithmetic of one answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.layers.position_embedding import PositionEmbedding

DEFAULT_STEPS = 128  # tokens or steps of an example, where the model takes any number
DEFAULT_SIDE = 224  # pixels
_BYTES = 4  # float32


@dataclass(frozen=True)
class Cost:
    """What a model costs.

    Attributes:
        parameters: How many numbers it has.
        nonzero: How many of them are not zero.
        flops: Additions and multiplications in the products and convolutions of one example; 0 where the model cannot
            be traced.
        megabytes: Size of the parameters as float32, in 10**6 bytes.
    """

    parameters: int
    nonzero: int
    flops: int
    megabytes: float

    def to_dict(self) -> dict[str, float]:
        """Returns it as JSON-ready data."""
        return asdict(self)


def cost_of(model: keras.Model, *, steps: int = DEFAULT_STEPS) -> Cost:
    """Counts what a model costs.

    Args:
        model: A built model.
        steps: Tokens or steps of the example, where the model takes any number; fewer if it cannot read as many.

    Returns:
        The cost.
    """
    values = [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in model.weights]
    parameters = sum(value.size for value in values)
    return Cost(parameters, sum(int(np.count_nonzero(value)) for value in values), flops_of(model, steps=steps),
                round(parameters * _BYTES / 1e6, 3))


def comparison(before: Cost, after: Cost) -> str:
    """Says in a few words what a model costs against what it cost."""
    zeros = after.parameters - after.nonzero
    many = zeros > 1.5 * (before.parameters - before.nonzero) + 100
    said = [f"{before.parameters:,} -> {after.parameters:,} parameters ({after.parameters / before.parameters:.0%})"
            + (f", {zeros / after.parameters:.1%} of them zero" if many else "")]
    if before.flops and after.flops != before.flops:
        said.append(f"{before.flops / 1e6:,.1f} -> {after.flops / 1e6:,.1f} MFLOP per example "
                    f"({after.flops / before.flops:.0%})")
    return ", ".join([*said, f"{before.megabytes:.1f} -> {after.megabytes:.1f} MB"])


def flops_of(model: keras.Model, *, steps: int = DEFAULT_STEPS) -> int:
    """Counts the additions and multiplications of products and convolutions in the forward graph, for one example."""
    steps = min([steps, *(layer.max_positions - layer.offset for layer in model._flatten_layers(include_self=False)
                          if isinstance(layer, PositionEmbedding))])
    specs = [tf.TensorSpec([1, *_sizes(tensor.shape[1:], steps)], tensor.dtype, name=tensor.name)
             for tensor in model.inputs]

    def forward(*values: Any) -> Any:
        return model(keras.tree.pack_sequence_as(model.input, list(values)), training=False)

    graph = tf.function(forward, input_signature=specs, autograph=False).get_concrete_function().graph
    return sum(_RULES[operation.type](operation) for operation in graph.get_operations() if operation.type in _RULES)


def _sizes(shape: tuple[int | None, ...], steps: int) -> list[int]:
    free = DEFAULT_SIDE if len(shape) == 3 else steps
    return [free if size is None else size for size in shape]


def _elements(tensor: Any) -> int:
    return prod(size or 1 for size in tensor.shape.as_list()) if tensor.shape.rank is not None else 0


def _product(operation: Any) -> int:
    left, turned = operation.inputs[0].shape, operation.get_attr(
        "transpose_a" if operation.type == "MatMul" else "adj_x")
    inner = left[-2] if turned else left[-1]
    return 2 * _elements(operation.outputs[0]) * int(inner or 1)


def _convolution(operation: Any) -> int:
    kernel = operation.inputs[1].shape.as_list()  # [..., inputs of a group, outputs]
    return 2 * _elements(operation.outputs[0]) * int(prod(kernel[:-1]))


def _depthwise(operation: Any) -> int:
    return 2 * _elements(operation.outputs[0]) * int(prod(operation.inputs[1].shape.as_list()[:-2]))


def _einsum(operation: Any) -> int:
    equation = operation.get_attr("equation").decode()
    letters, _, _ = equation.partition("->")
    sizes: dict[str, int] = {}
    for term, tensor in zip(letters.split(","), operation.inputs, strict=True):
        names, shape = term.replace("...", ""), tensor.shape.as_list()
        sizes |= {name: size or 1 for name, size in zip(reversed(names), reversed(shape), strict=False)}
    return 2 * prod(sizes.values())


_RULES: Mapping[str, Any] = {
    "MatMul": _product, "BatchMatMulV2": _product, "BatchMatMul": _product, "Conv2D": _convolution,
    "Conv3D": _convolution, "DepthwiseConv2dNative": _depthwise, "Einsum": _einsum}
