"""One engine in a process: `python -m benchmarks.engines.worker ENGINE FOLDER THREADS`, words of JSON on both pipes.

{"batch": n} gets it ready for batches of n rows and answers with the milliseconds that this took and the answer's
distance from Keras's; {"seconds": s, "least": n} times calls for as long, at least n of them.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks.engines.prepare import LARGEST_BATCH
from benchmarks.engines.table import ENGINES, Engine
from benchmarks.side_by_side import end_with_parent

Call = Callable[[], np.ndarray]
# A short call finds other processes' data in the caches, once.
_SHORT_SECONDS = 0.3


def distance(answer: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """How far probabilities are from the expected ones, as a share of these, and how often the best label is theirs."""
    ours, theirs = (np.log(np.maximum(values, 1e-30)) for values in (answer, expected))
    spread = np.linalg.norm(theirs - theirs.mean(-1, keepdims=True))
    agreeing = np.mean(answer.argmax(-1) == expected.argmax(-1))
    return float(np.linalg.norm(ours - theirs) / spread), float(agreeing)


def serve(load: Callable[[int], Call], expected: np.ndarray, pipe: TextIO) -> None:
    call: Call | None = None
    for line in sys.stdin:
        request: Mapping[str, Any] = json.loads(line)
        start = time.perf_counter()
        if "batch" in request:
            call = None  # what the last one held is given back first
            call = load(request["batch"])
            answer = np.asarray(call())
            ready = time.perf_counter() - start
            call()
            rows = min(len(expected), request["batch"])
            if answer.shape[0] != request["batch"] or not np.isfinite(answer).all():
                raise SystemExit(f"The answer is of the shape {answer.shape}, or no number.")
            error, agreement = distance(answer[:rows].astype(np.float64), expected[:rows].astype(np.float64))
            reply: dict[str, Any] = {"ready_seconds": ready, "error": error, "agreement": agreement}
        elif call is not None:
            reply = {"milliseconds": timed(call, request["seconds"], request["least"])}
        reply["memory_mb"] = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
        pipe.write(json.dumps(reply) + "\n")
        pipe.flush()


def timed(call: Call, seconds: float, least: int) -> list[float]:
    start = time.perf_counter()
    call()
    first = time.perf_counter() - start
    times = [first] if first > _SHORT_SECONDS else []
    begun = time.perf_counter() - sum(times)
    while len(times) < least or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return [1e3 * value for value in times]


def main() -> None:
    end_with_parent()
    name, root, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    engine: Engine = ENGINES[name]
    with np.load(root / "bundle" / "inputs.npz") as arrays:
        assert len(arrays[arrays.files[0]]) == LARGEST_BATCH
    load = importlib.import_module(f"benchmarks.engines.on_{engine.runtime}").loader(engine, root, threads)
    serve(load, np.load(root / "bundle" / "answers.npy"), pipe)


if __name__ == "__main__":
    main()
