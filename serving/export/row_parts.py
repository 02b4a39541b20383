"""The rows of a request in parts that are computed side by side, so that processors need not share one convolution.

Handing a convolution over to several threads, and waiting for the last of them, costs more than many of a small
model's convolutions. Parts of the rows go through the whole model without meeting.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from serving.errors import ExportError
from zoo.compression.cost import flops_of

# The server knows the loop by its name: OpenVINO has threads of its own, and reads the model without it.
LOOP = "row_parts"
MOST_CORES = 64
# Additions and multiplications for a row from which on parts are worth the loop, about a tenth of a millisecond.
_WORTH_A_LOOP = 10**8


def usable_cores(cores: int | None) -> int:
    """The processors of the server that an export is for.

    Args:
        cores: What the user said, from 1 to 64; None takes those that this process may use.

    Raises:
        ExportError: It is another number.
    """
    if cores is None:
        return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
                   MOST_CORES)
    if isinstance(cores, bool) or not isinstance(cores, int) or not 1 <= cores <= MOST_CORES:
        raise ExportError(f"`cores` is the number of processors of the server, from 1 to {MOST_CORES}, or None for "
                          f"those of this machine. Received: {cores!r}")
    return cores


def row_parts(model: Any, cores: int) -> int:
    """In how many parts the rows of a request are computed at most: one for each processor, 1 for a small model.

    Args:
        model: The keras.Model.
        cores: The processors of the server.
    """
    return cores if cores > 1 and flops_of(model) >= _WORTH_A_LOOP else 1


def in_row_parts(call: Callable[..., Any], outputs: Mapping[str, Any], tensors: Sequence[Any],
                 parts: int) -> dict[str, Any]:
    """Calls a model once for each of a few parts of the rows, all at the same time.

    The parts are the turns of one loop, so that they share the model's weights and what is made of them.

    Args:
        call: From tensors [n, ...] to a dict of float32 [n, ...].
        outputs: tf.TensorSpec [N, ...] by the names in that dict.
        tensors: What it takes, [N, ...]; N at least 1.
        parts: How many parts at most, from 1 on; fewer where there are fewer rows.

    Returns:
        What it gives for all rows, in their order.
    """
    rows = tf.shape(tensors[0])[0]
    count = tf.minimum(rows, parts, name=f"{LOOP}_count")

    def step(place: Any, done: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        begin, end = place * rows // count, (place + 1) * rows // count
        answers = call(*(tensor[begin:end] for tensor in tensors))
        return place + 1, tuple(array.write(place, answers[name]) for array, name in zip(done, outputs, strict=True))

    arrays = tuple(tf.TensorArray(tf.float32, size=count, infer_shape=False, element_shape=spec.shape)
                   for spec in outputs.values())
    _, done = tf.while_loop(lambda place, _: place < count, step, (0, arrays), parallel_iterations=parts, name=LOOP)
    found = {name: array.concat() for name, array in zip(outputs, done, strict=True)}
    return {name: tf.ensure_shape(found[name], spec.shape) for name, spec in outputs.items()}
