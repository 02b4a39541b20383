"""Kernels with zeros: which numbers of a model become zero, and how many of them at which point of a training.

The schedule is that of Zhu and Gupta 2017, "To prune, or not to prune" (https://arxiv.org/abs/1710.01878): many numbers
go early, while the network can still recover, and fewer and fewer later.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import keras
import numpy as np

from zoo.errors import ArgumentError

_PATTERN = re.compile(r"([1-9]\d*):([1-9]\d*)")
SCOPES = ("kernel", "model")


def prunable_kernels(model: keras.Model, *, head: str = "predictions") -> list[keras.Variable]:
    """Returns the kernels of dense layers and convolutions; those of the head and of depthwise convolutions stay whole.

    Args:
        model: A built model.
        head: Name of the layer that gives the answer.

    Returns:
        The variables.

    Raises:
        ArgumentError: There are none.
    """
    kinds = (keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Conv1D, keras.layers.Conv2D,
             keras.layers.Conv3D, keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose,
             keras.layers.Conv3DTranspose)
    found = [layer.kernel for layer in model._flatten_layers(include_self=False)  # Keras has no public walk
             if isinstance(layer, kinds) and layer.built and layer.name != head
             and not getattr(layer, "lora_enabled", False)]
    if not found:
        raise ArgumentError(f"The model {model.name!r} has no kernels of dense layers or convolutions beside its head, "
                            "so there is nothing to set to zero.")
    return found


def pattern_of(text: str) -> tuple[int, int]:
    """Reads a pattern "N:M": of M numbers that follow each other along a kernel's inputs, N stay.

    Returns:
        (N, M).

    Raises:
        ArgumentError: It is of another form, or N is not below M.
    """
    found = _PATTERN.fullmatch(text)
    if not found or int(found[1]) >= int(found[2]):
        raise ArgumentError(f"`pattern` reads N:M with N below M, such as '2:4': of M numbers N stay. Received: "
                            f"{text!r}")
    return int(found[1]), int(found[2])


def fraction_at(progress: float, fraction: float) -> float:
    """Returns the fraction of zeros at a point of the schedule.

    Args:
        progress: From 0 (nothing yet) to 1 (all).
        fraction: The fraction at the end, in (0, 1).

    Returns:
        fraction * (1 - (1 - progress) ** 3).
    """
    return fraction * (1.0 - (1.0 - min(max(progress, 0.0), 1.0)) ** 3)


def masks_for(values: Sequence[np.ndarray], fraction: float, *, scope: str = "kernel",
              pattern: tuple[int, int] | None = None) -> list[np.ndarray]:
    """Chooses the numbers that stay: the largest.

    Args:
        values: The kernels.
        fraction: Which part becomes zero, in [0, 1).
        scope: "kernel" takes that part of every kernel, "model" of all together.
        pattern: (N, M); every M numbers along the inputs then keep at least N, so that a `fraction` of 1 - N / M
            leaves exactly N.

    Returns:
        A mask per kernel, bool of its shape; the same for the same numbers.
    """
    sizes = [np.abs(value).astype(np.float64) for value in values]
    if pattern is not None:
        return [_patterned(size, fraction, *pattern) for size in sizes]
    if scope == "model":
        flat = _largest(np.concatenate([size.ravel() for size in sizes]), fraction)
        cuts = np.cumsum([size.size for size in sizes])[:-1]
        return [part.reshape(size.shape) for part, size in zip(np.split(flat, cuts), sizes, strict=True)]
    return [_largest(size.ravel(), fraction).reshape(size.shape) for size in sizes]


def _largest(sizes: np.ndarray, fraction: float) -> np.ndarray:
    mask = np.ones(sizes.size, bool)
    count = round(fraction * sizes.size)
    if count:
        mask[np.argpartition(sizes, count - 1)[:count]] = False
    return mask


def _patterned(size: np.ndarray, fraction: float, stay: int, of: int) -> np.ndarray:
    rows = np.moveaxis(size, -1, 0).reshape(size.shape[-1], -1)  # per output, all that it reads
    whole = rows.shape[1] // of * of
    blocks = rows[:, :whole].reshape(-1, of)
    order = np.argsort(blocks, axis=1, kind="stable")
    candidates = np.zeros_like(blocks, bool)
    np.put_along_axis(candidates, order[:, :of - stay], True, axis=1)
    count = min(round(fraction * blocks.size), int(candidates.sum()))
    weakest = np.argsort(np.where(candidates, blocks, np.inf).ravel(), kind="stable")[:count]
    mask = np.ones(blocks.size, bool)
    mask[weakest] = False
    kept = np.ones_like(rows, bool)
    kept[:, :whole] = mask.reshape(rows.shape[0], whole)
    moved = (size.shape[-1], *size.shape[:-1])
    return np.moveaxis(kept.reshape(moved), 0, -1)
