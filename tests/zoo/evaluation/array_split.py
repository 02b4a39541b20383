"""A split over arrays in memory, which has the shape that evaluation asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf


class ArraySplit:
    def __init__(self, inputs: Any, targets: Any, sources: Sequence[str] = (), count: int | None = None) -> None:
        self.inputs, self.targets = inputs, np.asarray(targets)
        self.count = len(self.targets) if count is None else count
        self.sources = list(sources) or [f"row {i}" for i in range(self.count)]

    def batches(self, batch_size: int, *, shuffle_seed: int | None = None, drop_remainder: bool = False) -> Any:
        assert shuffle_seed is None, "evaluation needs the order of examples()"
        return tf.data.Dataset.from_tensor_slices((self.inputs, self.targets)).batch(
            batch_size, drop_remainder=drop_remainder)

    def examples(self) -> Sequence[str]:
        return self.sources
