"""Magnitude pruning while a model learns: the smallest numbers of its kernels become zero step by step and stay so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.compression.sparsity import SCOPES, fraction_at, masks_for, pattern_of, prunable_kernels
from zoo.errors import ArgumentError
from zoo.training.technique import Applied, RunFacts

_CHOICES = 30  # of masks, over the schedule


@dataclass(frozen=True, kw_only=True)
class MagnitudePruning:
    """Zeros for a training run: `zoo.training.fit(model, ..., techniques=(MagnitudePruning(fraction=0.8),))`.

    Every few steps the smallest numbers are chosen anew among all that are left, up to the point of the
    schedule; what is zero once stays zero, because the optimizer's step itself multiplies with the mask. Epochs before
    the last choice do not count as the best.

    Attributes:
        fraction: Which part of the kernels is zero in the end, in (0, 1).
        pattern: "N:M", such as "2:4": the zeros lie so that of M numbers along the inputs N stay; the fraction is
            1 - N / M then, and is left out.
        scope: "kernel" makes the same part of every kernel zero, "model" of all together.
        begin: The point of the run at which the first numbers go, as a fraction of all steps, in [0, 1).
        end: The point at which the last ones go, above `begin` and at most 1. What follows is recovery.
        every: Steps between two choices; None for thirty choices.
    """

    fraction: float | None = None
    pattern: str | None = None
    scope: str = "kernel"
    begin: float = 0.0
    end: float = 0.6
    every: int | None = None

    name = "magnitude_pruning"

    def __post_init__(self) -> None:
        if (self.fraction is None) == (self.pattern is None):
            raise ArgumentError("Magnitude pruning takes a `fraction` or a `pattern` N:M. Give one of them.")
        if self.fraction is not None and not 0.0 < self.fraction < 1.0:
            raise ArgumentError(f"`fraction` must be a number in (0, 1). Received: {self.fraction!r}")
        if self.pattern is not None:
            pattern_of(self.pattern)
        if self.scope not in SCOPES:
            raise ArgumentError(f"`scope` must be one of {', '.join(SCOPES)}. Received: {self.scope!r}")
        if not 0.0 <= self.begin < self.end <= 1.0:
            raise ArgumentError(f"`begin` and `end` are points of the run, 0 <= begin < end <= 1. Received: "
                                f"begin={self.begin}, end={self.end}")
        if self.every is not None and (isinstance(self.every, bool) or not isinstance(self.every, int)
                                       or self.every < 1):
            raise ArgumentError(f"`every` must be a whole number of at least 1. Received: {self.every!r}")

    def identity(self) -> Mapping[str, Any]:
        """Returns the settings."""
        return {"fraction": self.fraction, "pattern": self.pattern, "scope": self.scope, "begin": self.begin,
                "end": self.end, "every": self.every}

    @contextmanager
    def applied(self, model: keras.Model, facts: RunFacts) -> Iterator[Applied]:
        """Lets the kernels lose their smallest numbers for a while.

        Args:
            model: The model that is trained.
            facts: The run.

        Raises:
            ArgumentError: The model has no kernels to prune, or learns low-rank adapters in their place.
        """
        if facts.config.lora_rank is not None:
            raise ArgumentError("`lora_rank` freezes the kernels, which magnitude pruning changes. Give one of them.")
        kernels = prunable_kernels(model)
        masks = [keras.Variable(np.ones(kernel.shape, np.float32), trainable=False, dtype="float32",
                                name=f"mask_{index}") for index, kernel in enumerate(kernels)]
        given = [kernel.constraint for kernel in kernels]
        for kernel, mask, own in zip(kernels, masks, given, strict=True):
            kernel.constraint = _Masked(mask, own)
        steps = facts.config.epochs * facts.steps
        choosing = _Choosing(self, kernels, masks, facts.steps, steps)
        try:
            yield Applied(state=tuple(masks), callbacks=(choosing,), settled_from=ceil(choosing.last / facts.steps),
                          outcome=lambda: self._outcome(kernels))
        finally:
            for kernel, own in zip(kernels, given, strict=True):
                kernel.constraint = own

    @property
    def target(self) -> float:
        """The fraction of zeros in the end."""
        if self.fraction is not None:
            return self.fraction
        stay, of = pattern_of(str(self.pattern))
        return 1.0 - stay / of

    def _outcome(self, kernels: Sequence[keras.Variable]) -> dict[str, Any]:
        zeros = sum(int((keras.ops.convert_to_numpy(kernel) == 0).sum()) for kernel in kernels)
        numbers = sum(int(np.prod(kernel.shape)) for kernel in kernels)
        return {**self.identity(), "kernels": len(kernels), "numbers": numbers, "zeros": zeros}


class _Masked(keras.constraints.Constraint):  # type: ignore[misc]  # Keras has no types
    """Multiplies with a mask, inside the compiled step; after a constraint that the kernel had before."""

    def __init__(self, mask: keras.Variable, inner: Any | None) -> None:
        self.mask = mask
        self.inner = inner

    def __call__(self, value: Any) -> Any:
        value = value if self.inner is None else self.inner(value)
        return value * keras.ops.cast(self.mask, value.dtype)


class _Choosing(keras.callbacks.Callback):  # type: ignore[misc]
    """Chooses the masks anew after every few steps of the schedule."""

    def __init__(self, settings: MagnitudePruning, kernels: Sequence[keras.Variable],
                 masks: Sequence[keras.Variable], steps_per_epoch: int, steps: int) -> None:
        super().__init__()
        self.settings = settings
        self.kernels = kernels
        self.masks = masks
        self.steps_per_epoch = steps_per_epoch
        self.first, self.last = int(settings.begin * steps), max(1, ceil(settings.end * steps))
        self.every = settings.every or max(1, (self.last - self.first) // _CHOICES)
        self.done = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Counts from the epoch, so that a resumed run goes on with the same steps."""
        self.done = epoch * self.steps_per_epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Chooses, if it is time."""
        self.done += 1
        due = self.done == self.last or (self.done - self.first) % self.every == 0
        if due and self.first < self.done <= self.last:
            self.choose((self.done - self.first) / (self.last - self.first))

    def choose(self, progress: float) -> None:
        """Sets masks and kernels for a point of the schedule."""
        settings = self.settings
        values = [keras.ops.convert_to_numpy(kernel) for kernel in self.kernels]
        pattern = pattern_of(settings.pattern) if settings.pattern else None
        chosen = masks_for(values, fraction_at(progress, settings.target), scope=settings.scope, pattern=pattern)
        for kernel, mask, value, kept in zip(self.kernels, self.masks, values, chosen, strict=True):
            mask.assign(tf.constant(kept, tf.float32))
            kernel.assign(value * kept)
