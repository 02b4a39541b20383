"""batching_params.pbtxt: how TensorFlow Serving gathers requests into batches of this model.

It is read with `--enable_batching --enable_per_model_batching_parameters`. The rules, from TensorFlow Serving's
batching session: allowed_batch_sizes ascend, and with enable_large_batch_splitting the last equals
max_execution_batch_size and is at most max_batch_size, which is the largest request that is taken.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from serving.errors import ExportError

BATCHING_FILE = "batching_params.pbtxt"
MAX_REQUEST_ROWS = 1024
_BATCH_TIMEOUT_MICROSECONDS = 1000
_MAX_ENQUEUED_BATCHES = 100
_BATCH_THREADS = 4


def check_batch_sizes(name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    """Returns batch sizes that TensorFlow Serving takes.

    Args:
        name: The argument's name, for the message.
        sizes: Whole numbers from 1 to 1024 in ascending order.

    Raises:
        ExportError: They are none, not ascending, or out of range.
    """
    checked = tuple(sizes)
    whole = all(type(size) is int and 1 <= size <= MAX_REQUEST_ROWS for size in checked)
    if not checked or not whole or any(smaller >= larger for smaller, larger in itertools.pairwise(checked)):
        raise ExportError(f"`{name}` must be at least one whole number from 1 to {MAX_REQUEST_ROWS}, each larger than "
                          f"the one before. Received: {sizes!r}")
    return checked


def batching_text(allowed_batch_sizes: Sequence[int]) -> str:
    """The file's content.

    Args:
        allowed_batch_sizes: The sizes that a batch is filled up to; a larger request is split.
    """
    values = {"max_batch_size": MAX_REQUEST_ROWS, "batch_timeout_micros": _BATCH_TIMEOUT_MICROSECONDS,
              "max_enqueued_batches": _MAX_ENQUEUED_BATCHES, "num_batch_threads": _BATCH_THREADS,
              "max_execution_batch_size": allowed_batch_sizes[-1]}
    lines = [f"{name} {{ value: {value} }}" for name, value in values.items()]
    lines += ["enable_large_batch_splitting { value: true }"]
    return "\n".join([*lines, *(f"allowed_batch_sizes: {size}" for size in allowed_batch_sizes)]) + "\n"
