"""Low-rank adapters (LoRA) folded into the kernels that they adapt, for saving and exporting.

Keras' own layers carry the adapters (`layer.enable_lora(rank)`). Folded, the model computes the same with its plain
architecture, so a bundle or a SavedModel of it needs to know nothing of adapters.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

# Where a layer keeps its kernel, and its two factors.
_NAMES = (("_kernel", "lora_kernel_a", "lora_kernel_b"), ("_embeddings", "lora_embeddings_a", "lora_embeddings_b"))


@dataclass(frozen=True)
class _Adapted:
    """A layer with active adapters, and what the kernel was before they were folded in."""

    layer: Any
    kernel: Any
    factors: tuple[Any, Any]
    rank: int
    before: np.ndarray[Any, Any]


@contextlib.contextmanager
def merged_lora(model: keras.Model) -> Iterator[None]:
    """Folds a model's adapters into its kernels for as long as the context lasts.

    Inside, the model has no adapters, neither in its layers' configuration nor among its variables. On leaving it is
    as it was, to the bit, so that training can go on.

    Args:
        model: Any Keras model; one without adapters is left alone, and so are layers with quantised kernels.

    Yields:
        Nothing; the model itself is changed.
    """
    folded: list[_Adapted] = []
    try:
        for entry in list(_adapted(model)):
            folded.append(entry)
            _fold(entry)
        yield
    finally:
        for entry in folded:
            _unfold(entry)


def _adapted(model: keras.Model) -> Iterator[_Adapted]:
    for layer in model._flatten_layers():
        if not getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None) is not None:
            continue
        for kernel, *factors in _NAMES:
            if all(hasattr(layer, name) for name in (kernel, *factors)):
                variable = getattr(layer, kernel)
                first, second = (getattr(layer, name) for name in factors)
                yield _Adapted(layer, variable, (first, second), layer.lora_rank, variable.numpy())


def _fold(entry: _Adapted) -> None:
    first, second = (np.asarray(factor, np.float64) for factor in entry.factors)
    change = entry.layer.lora_alpha / entry.rank * np.matmul(first, second)
    total = (entry.before.astype(np.float64) + change).astype(np.float32)
    entry.kernel.assign(total.astype(entry.before.dtype))
    entry.layer.lora_enabled, entry.layer.lora_rank = False, None
    for factor in entry.factors:
        entry.layer._untrack_variable(factor)


def _unfold(entry: _Adapted) -> None:
    layer = entry.layer
    entry.kernel.assign(entry.before)
    layer.lora_enabled, layer.lora_rank = True, entry.rank
    tracked = {id(variable) for variable in layer.variables}
    layer._tracker.unlock()
    for factor in entry.factors:
        if id(factor) not in tracked:
            layer._track_variable(factor)
    layer._tracker.lock()
