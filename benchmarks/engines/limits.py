"""What this processor can do at best, measured: products of matrices in each precision, and bytes from memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

SIZE = 2048
_SECONDS = 0.6


def measured_limits(threads: int) -> dict[str, float]:
    """Operations per second by precision, and "bytes" per second. PyTorch computes."""
    import torch

    torch.set_num_threads(threads)
    left, right = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)
    work: Mapping[str, Callable[[], Any]] = {
        "float32": lambda: left @ right,
        "bfloat16": _product(torch, left.bfloat16(), right.bfloat16()),
        "int8": _integer_product(torch, (left * 30).to(torch.int8), (right * 30).to(torch.int8)),
    }
    limits = {precision: 2 * SIZE**3 / _best(run) for precision, run in work.items()}
    # Where PyTorch's integer product is not the fastest that there is, the limit is too low and a share too high.
    limits["int8"] = max(limits["int8"], limits["bfloat16"])
    return limits | {"bytes": bytes_per_second(threads)}


def _product(torch: Any, left: Any, right: Any) -> Callable[[], Any]:
    return lambda: torch.mm(left, right)


def _integer_product(torch: Any, left: Any, right: Any) -> Callable[[], Any]:
    return lambda: torch._int_mm(left, right)


def _best(run: Callable[[], Any]) -> float:
    run()
    best, begun = float("inf"), time.perf_counter()
    while time.perf_counter() - begun < _SECONDS:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def bytes_per_second(threads: int) -> float:
    """What the threads together read from memory, best of several sums."""
    parts = np.array_split(np.ones(2**26, np.float64), threads)
    best = 0.0
    for _ in range(4):
        workers = [threading.Thread(target=part.sum) for part in parts]
        start = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        best = max(best, 8 * 2**26 / (time.perf_counter() - start))
    return best


def least_seconds(operations: float, weight_bytes: float, precision: str, limits: Mapping[str, float]) -> float:
    """The time below which no engine can come: its arithmetic, or reading its weights once."""
    narrow = {"float32": 1, "bfloat16": 2, "int8": 4}[precision]
    return max(operations / limits[precision], weight_bytes / narrow / limits["bytes"])
