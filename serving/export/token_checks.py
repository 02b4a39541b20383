"""Checks of token ids in the graph: what a model's tables do not have is refused, not answered with nonsense.

A table of vectors takes a negative number for one from its end, and a graphics processor gives zeros for one beyond
it. Both would be answers that look like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from zoo.layers.position_embedding import PositionEmbedding

_MASK_INPUT = "padding_mask"


@dataclass(frozen=True)
class TokenLimits:
    """What a model's inputs may hold.

    Attributes:
        values: By input name, the number from which on there is no such token.
        longest: The most tokens per row; None where the model has no table of positions.
    """

    values: Mapping[str, int]
    longest: int | None

    @classmethod
    def of(cls, model: Any, names: Sequence[str]) -> TokenLimits:
        """Reads the limits off the tables that the model's inputs go into.

        Args:
            model: A functional keras.Model.
            names: Pinned names of its inputs, in the order of `model.inputs`.
        """
        name_of = {id(tensor): name for tensor, name in zip(model.inputs, names, strict=True)}
        values = {_MASK_INPUT: 2} if _MASK_INPUT in names else {}
        lengths = []
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.Embedding):
                fed = {id(tensor) for node in layer._inbound_nodes for tensor in node.input_tensors}
                values |= {name: int(layer.input_dim) for key, name in name_of.items() if key in fed}
            if isinstance(layer, PositionEmbedding):
                lengths.append(layer.max_positions - layer.offset)
        whole = {name for name, tensor in zip(names, model.inputs, strict=True) if "int" in tensor.dtype}
        return cls({name: limit for name, limit in values.items() if name in whole}, min(lengths, default=None))

    def checked(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the same tensors; in the graph they are what they must be, or the request is INVALID_ARGUMENT.

        Args:
            tensors: The model's inputs [N, ...] by name.
        """
        checks = []
        for name, limit in self.values.items():
            tensor = tensors[name]
            fits = tf.reduce_all(tf.logical_and(tensor >= 0, tensor < limit))
            checks.append(_check(fits, f"Input {name} takes whole numbers from 0 to {limit - 1}. Smallest and largest "
                                 "received:", tf.reduce_min(tensor), tf.reduce_max(tensor)))
        rows = {name: tensor for name, tensor in tensors.items() if name in self.values and tensor.shape.rank == 2}
        if self.longest is not None and rows:
            checks += _shape_checks(rows, self.longest)
        with tf.control_dependencies(checks):
            return {name: tf.identity(tensor) for name, tensor in tensors.items()} if checks else dict(tensors)


def _shape_checks(rows: Mapping[str, Any], longest: int) -> list[Any]:
    first, *others = rows
    length = tf.shape(rows[first])[1]
    checks = [_check(tf.logical_and(length >= 1, length <= longest), f"The model reads from 1 to {longest} tokens per "
                     "row. Received:", length)]
    return checks + [_check(tf.reduce_all(tf.equal(tf.shape(rows[first]), tf.shape(rows[other]))),
                            f"Inputs {first} and {other} must have the same shape. Received:",
                            tf.shape(rows[first]), tf.shape(rows[other])) for other in others]


def _check(condition: Any, message: str, *values: Any) -> Any:
    return tf.debugging.Assert(condition, [message, *values])
