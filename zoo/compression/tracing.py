"""Follows the channels through the graph of a functional model, from the layer that makes them to those that read them.

What a layer does to channels is told by its class; at a layer that is not known they are kept as they are, so the
result holds for any functional model: an unknown layer costs possibilities, never correctness. A normalisation over the
channels (LayerNormalization) counts all of them, so none can be removed in front of it without other numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from zoo.compression.attention_parts import ATTENTION, add_attention
from zoo.compression.parts import Parts
from zoo.errors import ArgumentError

layers = keras.layers
Rule = Callable[[Any, list[np.ndarray], Any], np.ndarray | None]

# Each number of the result comes from numbers of the same channel alone.
_CHANNELWISE = frozenset({
    layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Identity, layers.Dropout, layers.SpatialDropout1D,
    layers.SpatialDropout2D, layers.SpatialDropout3D, layers.GaussianDropout, layers.GaussianNoise,
    layers.ActivityRegularization, layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D,
    layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D, layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D, layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D,
    layers.GlobalMaxPooling3D, layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D, layers.Cropping1D,
    layers.Cropping2D, layers.Cropping3D, layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D})
_JOINING = frozenset({layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum})
_JOINING_OPERATIONS = frozenset({"Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum"})
_CHANNELWISE_OPERATIONS = frozenset({"Relu", "Relu6", "Sigmoid", "Silu", "Tanh", "Gelu", "HardSigmoid", "HardSilu",
                                     "Softplus", "Elu", "LeakyRelu"})
_ACROSS_CHANNELS = frozenset({"softmax", "log_softmax", "sparsemax", "sparse_softmax", "glu"})
_KNOWN_CODE = ("keras.", "zoo.")  # whose activations work on each number alone, but for those across the channels
_TURNED = frozenset({layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose})
_SEPARABLE = frozenset({layers.SeparableConv1D, layers.SeparableConv2D})
_WEIGHTED = frozenset({layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.Dense}) | _TURNED | _SEPARABLE
_DEPTHWISE = frozenset({layers.DepthwiseConv1D, layers.DepthwiseConv2D})


def calls_of(model: keras.Model) -> list[Any]:
    """Returns the calls of a functional model in an order in which they can be made.

    Args:
        model: A built functional model.

    Raises:
        ArgumentError: The model has no graph of layers.
    """
    if not hasattr(model, "_nodes_by_depth"):
        raise ArgumentError(f"Pruning follows the graph of a functional model, and {model.name!r} "
                            f"({type(model).__name__}) has none. Build it with keras.Model(inputs, outputs).")
    by_depth = model._nodes_by_depth  # Keras has no public walk over calls
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def trace(model: keras.Model) -> Parts:
    """Finds what could be removed from a model, and everything that goes with it.

    Args:
        model: A built functional model.

    Returns:
        Its parts.

    Raises:
        ArgumentError: The model has no graph of layers.
    """
    tracer = _Tracer()
    for node in calls_of(model):
        tracer.visit(node)
    for tensor in model.outputs:
        tracer.parts.fix(tracer.channels[id(tensor)])
    return tracer.parts


class _Tracer:
    """Goes from call to call; `channels` holds the atoms of each tensor's last axis."""

    def __init__(self) -> None:
        self.parts = Parts()
        self.channels: dict[int, np.ndarray] = {}
        self.seen: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # layers with parameters: atoms read and made

    def visit(self, node: Any) -> None:
        """Finds the atoms of what a call returns."""
        given = [] if node.is_input else [self.channels[id(tensor)] for tensor in node.input_tensors]
        result = None if node.is_input else self._rule(node.operation)(node.operation, given, node)
        for tensor in node.outputs:
            size = (tensor.shape[-1] or 0) if len(tensor.shape) > 1 else 0
            if result is None or size != len(result):
                self._keep(*given, *([] if result is None else [result]))
                self.channels[id(tensor)] = self.parts.new(size)
            else:
                self.channels[id(tensor)] = result

    def _rule(self, operation: Any) -> Rule:
        kind, name = type(operation), type(operation).__name__
        if not isinstance(operation, layers.Layer):
            own = kind.__module__.startswith("keras.src.ops")
            return (self._joined if own and name in _JOINING_OPERATIONS else
                    self._same if own and name in _CHANNELWISE_OPERATIONS else _unknown)
        if kind in ATTENTION:
            return self._attended
        if getattr(operation, "data_format", None) == "channels_first":
            return _unknown
        if kind in _WEIGHTED:
            return self._weighted
        if _mixes_channels(operation):
            return _unknown
        if kind in _DEPTHWISE:
            return self._depthwise
        if kind in _CHANNELWISE or kind is layers.Activation:
            return self._same
        if kind in _JOINING:
            return self._joined
        rules: dict[Any, Rule] = {
            layers.Concatenate: self._concatenated, layers.Flatten: self._reshaped, layers.Reshape: self._reshaped,
            layers.BatchNormalization: self._normalised, layers.Rescaling: self._rescaled}
        return rules.get(kind, _unknown)

    def _keep(self, *arrays: np.ndarray) -> None:
        for atoms in arrays:
            self.parts.fix(atoms)

    def _again(self, layer: Any, read: np.ndarray) -> np.ndarray | None:
        """A layer that is called twice reads with the same parameters, so both inputs lose the same channels."""
        known, made = self.seen[id(layer)]
        if len(known) != len(read):
            return None
        self.parts.join(known, read)
        return made

    # === Layers with parameters ===

    def _weighted(self, layer: Any, given: list[np.ndarray], node: Any) -> np.ndarray | None:
        read = given[0]
        if id(layer) in self.seen:
            return self._again(layer, read)
        separable = type(layer) in _SEPARABLE
        if getattr(layer, "groups", 1) != 1 or (separable and layer.depth_multiplier != 1) \
                or getattr(layer, "lora_enabled", False):
            return None
        kernel = layer.pointwise_kernel if separable else layer.kernel
        reading, making = len(kernel.shape) - 2, len(kernel.shape) - 1
        if type(layer) in _TURNED:
            reading, making = making, reading
        dense = type(layer) is layers.Dense
        made = self.parts.new(kernel.shape[making], kind="units" if dense else "filters", maker=layer.name)
        if separable:
            self.parts.use(layer.depthwise_kernel, len(kernel.shape) - 2, read, "follows")
        self.parts.use(kernel, reading, read, "reads")
        self.parts.use(kernel, making, made, "makes")
        if layer.use_bias:
            self.parts.use(layer.bias, 0, made, "follows")
        self.parts.count(layer, "units" if dense else "filters", made)
        if _mixes_channels(layer):
            self._keep(made)
        self.seen[id(layer)] = read, made
        return made

    def _depthwise(self, layer: Any, given: list[np.ndarray], node: Any) -> np.ndarray | None:
        read = given[0]
        if id(layer) in self.seen:
            return self._again(layer, read)
        made = np.repeat(read, layer.depth_multiplier)
        self.parts.use(layer.kernel, len(layer.kernel.shape) - 2, read, "follows")
        if layer.use_bias:
            self.parts.use(layer.bias, 0, made, "follows")
        self.seen[id(layer)] = read, made
        return made

    def _normalised(self, layer: Any, given: list[np.ndarray], node: Any) -> np.ndarray | None:
        read = given[0]
        if layer.axis not in (-1, len(node.input_tensors[0].shape) - 1):
            return None
        if id(layer) in self.seen:
            return self._again(layer, read)
        for variable in layer.weights:  # gamma, beta, moving mean and variance: one number per channel each
            self.parts.use(variable, 0, read, "follows")
        self.seen[id(layer)] = read, read
        return read

    def _attended(self, layer: Any, given: list[np.ndarray], node: Any) -> np.ndarray | None:
        if id(layer) not in self.seen:
            add_attention(layer, self.parts)
            self.seen[id(layer)] = given[0], given[0]
        return None  # what comes in and goes out is summed up and normalised over the channels

    # === Layers without ===

    def _same(self, operation: Any, given: list[np.ndarray], node: Any) -> np.ndarray | None:
        return given[0]

    def _rescaled(self, layer: Any, given: list[np.ndarray], node: Any) -> np.ndarray | None:
        return given[0] if np.ndim(layer.scale) == np.ndim(layer.offset) == 0 else None

    def _joined(self, operation: Any, given: list[np.ndarray], node: Any) -> np.ndarray | None:
        numbers = [value for value in (*node.arguments.args, *node.arguments.kwargs.values())
                   if not isinstance(value, keras.KerasTensor | list | tuple)]
        widest = max(given, key=len)
        if any(np.size(value) > 1 for value in numbers) or any(len(atoms) not in (1, len(widest)) for atoms in given):
            return None
        for atoms in given:
            if len(atoms) == len(widest):
                self.parts.join(widest, atoms)
            else:  # one number for all channels
                self._keep(atoms)
        return widest

    def _concatenated(self, layer: Any, given: list[np.ndarray], node: Any) -> np.ndarray | None:
        if layer.axis in (-1, len(node.input_tensors[0].shape) - 1):
            return np.concatenate(given)
        if len({len(atoms) for atoms in given}) != 1:
            return None
        for atoms in given[1:]:
            self.parts.join(given[0], atoms)
        return given[0]

    def _reshaped(self, layer: Any, given: list[np.ndarray], node: Any) -> np.ndarray | None:
        read, shape = given[0], node.outputs[0].shape
        size = shape[-1] if len(shape) > 1 else None
        if not len(read) or not size or size % len(read) or (len(shape) > 2 and size != len(read)):
            return None
        result = np.tile(read, size // len(read))  # channels vary fastest, before and after
        if type(layer) is layers.Reshape and layer.target_shape[-1] != -1:
            self.parts.count(layer, "target_shape", result)
        return result


def _unknown(operation: Any, given: list[np.ndarray], node: Any) -> None:
    """Nothing is known about what comes out."""


def _mixes_channels(layer: Any) -> bool:
    activation = getattr(layer, "activation", None)
    if activation is None:
        return False
    if isinstance(activation, layers.Layer):
        return type(activation) not in _CHANNELWISE
    return (getattr(activation, "__name__", "") in _ACROSS_CHANNELS
            or not getattr(activation, "__module__", "").startswith(_KNOWN_CODE))
