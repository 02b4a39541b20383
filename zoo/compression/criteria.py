"""How much each part of a model matters: sizes of its parameters, scales of normalisations, or its effect on the loss.

"l1" and "l2" look at the parameters alone (Li et al. 2016, https://arxiv.org/abs/1608.08710), each kernel that makes or
reads a part counting for as much. "batch_norm" takes the scale of the normalisation behind a channel (Liu et al. 2017,
https://arxiv.org/abs/1708.06519). "taylor" asks data: by how much, to first order, does the loss change without the
part (Molchanov et al. 2019, https://arxiv.org/abs/1906.10771; for heads Michel et al. 2019,
https://arxiv.org/abs/1905.10650)?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.compression.parts import Group, Parts, Use
from zoo.errors import ArgumentError

CRITERIA = ("l1", "l2", "batch_norm", "taylor")
_SCALE = "gamma"


def importances(model: keras.Model, parts: Parts, groups: Sequence[Group], criterion: str,
                batches: Any = None, loss: Callable[[Any, Any], Any] | None = None) -> list[np.ndarray]:
    """Rates every atom of some groups.

    Args:
        model: The model that the parts were found in.
        parts: Its parts.
        groups: What to rate.
        criterion: One of `CRITERIA`. With "batch_norm" a group without such a normalisation is rated by "l2".
        batches: For "taylor": a dataset of (inputs, targets).
        loss: For "taylor": from (targets, outputs) to a number.

    Returns:
        float64 [size] of each group: larger matters more. The mean of each group is 1, so that atoms of different
        groups can be compared.

    Raises:
        ArgumentError: The criterion is unknown or lacks its data.
    """
    if criterion not in CRITERIA:
        raise ArgumentError(f"`criterion` must be one of {', '.join(CRITERIA)}. Received: {criterion!r}")
    if criterion == "taylor":
        if batches is None or loss is None:
            raise ArgumentError("The criterion 'taylor' asks data. Give `data`, or take 'l2'.")
        effects = _effects(model, parts, batches, loss)
        return [_mean_one(effects[group.atoms]) for group in groups]
    order = 1 if criterion == "l1" else 2
    norms = [_by_atom(parts, use, _norms(use, order)) for use in parts.uses if use.role != "follows"]
    scales = np.zeros(parts.atoms)
    for use in parts.uses:
        if criterion == "batch_norm" and use.role == "follows" and use.variable.name == _SCALE:
            scales += _by_atom(parts, use, np.abs(keras.ops.convert_to_numpy(use.variable)))
    return [_mean_one(scales[group.atoms] if scales[group.atoms].any() else _balanced(group, norms))
            for group in groups]


def _by_atom(parts: Parts, use: Use, numbers: np.ndarray) -> np.ndarray:
    """Sums the numbers of a use's positions: float64 [atoms of the model]."""
    total = np.zeros(parts.atoms)
    np.add.at(total, parts.roots(use.atoms), numbers)
    return total


def _norms(use: Use, order: int) -> np.ndarray:
    value = np.abs(keras.ops.convert_to_numpy(use.variable)).astype(np.float64)
    others = tuple(axis for axis in range(value.ndim) if axis != use.axis)
    return np.asarray((value ** order).sum(axis=others) ** (1.0 / order))


def _balanced(group: Group, rated: Sequence[np.ndarray]) -> np.ndarray:
    """Sums the uses of a group, each with the same weight."""
    own = [numbers[group.atoms] for numbers in rated]
    return sum((numbers / numbers.mean() for numbers in own if numbers.any()), np.zeros(group.size))


def _mean_one(values: np.ndarray) -> np.ndarray:
    return values / values.mean() if values.any() else np.ones_like(values)


def _effects(model: keras.Model, parts: Parts, batches: Any, loss: Callable[[Any, Any], Any]) -> np.ndarray:
    """Returns how much the loss would change without each atom, as a root of the mean square over the batches.

    The sum of gradient * weight over all that reads an atom is the derivative of the loss by a gate on the atom.
    """
    reading = [use for use in parts.uses if use.role == "reads"]
    roots = [parts.roots(use.atoms) for use in reading]
    variables = [use.variable.value for use in reading]
    axes = [[axis for axis in range(len(use.variable.shape)) if axis != use.axis] for use in reading]

    @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
    def changes(inputs: Any, targets: Any) -> list[Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            value = loss(targets, model(inputs, training=False))
        gradients = tape.gradient(value, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [tf.reduce_sum(tf.convert_to_tensor(gradient) * variable, axis)
                for gradient, variable, axis in zip(gradients, variables, axes, strict=True)]

    total, count = np.zeros(parts.atoms), 0
    for inputs, targets in batches:
        change = np.zeros(parts.atoms)
        for places, numbers in zip(roots, changes(inputs, targets), strict=True):
            np.add.at(change, places, numbers.numpy())
        total, count = total + change ** 2, count + 1
    if not count:
        raise ArgumentError("The criterion 'taylor' asks data, and the data given have no examples.")
    return np.sqrt(total / count)
