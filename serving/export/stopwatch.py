"""Times single calls of an exported version, in a session as TensorFlow Serving and the embedded server run it."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow.core.protobuf import saved_model_pb2

from serving.errors import ValidationError
from serving.export.graph_checks import Graph
from serving.export.op_lists import known_ops
from serving.export.replay import LoadedVersion, one_line, record_inputs
from serving.export.text_ops import load_text_ops, needs_text_ops
from serving.export.validation import DEFAULT_TARGET
from serving.export.warmup import read_warmup
from serving.fixed_weights import assume_if_fixed

# What a client has at hand comes first: its time holds the preprocessing.
_FAVOURITES = ("serve_bytes", "serve_text", "serve_columns", "serving_default")
# What texts that are written say of their length: a call takes a step for each token of the longest.
_COUNTS = "token_count"
_WARMUP_CALLS = 20
_WARMUP_SECONDS = 0.2
_SECONDS = 2.0
_LEAST_CALLS = 20
_MOST_CALLS = 2000


class Stopwatch:
    """A loaded version and a request to it; a context manager.

    Args:
        directory: The version's folder; its warm-up records hold a request with one example.
        alone: Whether this process does nothing else, so that it may be set up as a server would be.

    Raises:
        ValidationError: It cannot be loaded, or holds no such request.
    """

    def __init__(self, directory: Path, *, alone: bool = False) -> None:
        before = _resident_bytes()
        saved_model = _saved_model(directory)
        _load_text_ops(saved_model)
        if alone:
            assume_if_fixed(saved_model.meta_graphs[0])
        del saved_model
        self._signature, self._inputs = _request(directory)
        self._version = LoadedVersion(directory)
        try:
            self._warm_up()
        except Exception as error:
            self._version.__exit__(None, None, None)
            raise ValidationError(f"the signature {self._signature} fails: {one_line(error)}") from error
        self._before_bytes = before
        self._added_bytes = _resident_bytes() - before

    def __enter__(self) -> Stopwatch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._version.__exit__(kind, error, trace)

    def measure(self) -> dict[str, float]:
        """Returns median and 99th percentile of the calls' milliseconds, and the megabytes that were added.

        Three digits are all that repeat: more of them would set apart what is equally fast.
        """
        milliseconds = np.array(list(self._calls())) * 1e3
        values = {"latency_ms": np.median(milliseconds), "latency_p99_ms": np.percentile(milliseconds, 99),
                  "memory_mb": max(self._added_bytes, 0) / 1e6}
        return {name: float(f"{value:.3g}") for name, value in values.items()}

    def times(self, rows: int, seconds: float) -> dict[str, Any]:
        """Times calls of one size, for a comparison in rounds.

        Args:
            rows: Examples in a call.
            seconds: How long to go on; at least one call is timed, after one that is not.

        Returns:
            "milliseconds" of each call, or where texts are written of each of its tokens, and the megabytes
            "memory_mb" that have been added so far.

        Raises:
            ValidationError: The call fails.
        """
        inputs = {name: array[np.arange(rows) % len(array)] for name, array in self._inputs.items()}
        found: list[float] = []
        try:
            self._version.run(self._signature, inputs)  # the caches were another's while this process waited
            begun = time.perf_counter()
            while not found or (time.perf_counter() - begun < seconds and len(found) < _MOST_CALLS):
                start = time.perf_counter()
                answer = self._version.run(self._signature, inputs)
                found.append((time.perf_counter() - start) * 1e3 / _steps(answer))
        except Exception as error:
            raise ValidationError(f"the signature {self._signature} fails: {one_line(error)}") from error
        return {"milliseconds": found, "memory_mb": max(_resident_bytes() - self._before_bytes, 0) / 1e6}

    def _warm_up(self) -> None:
        begun = time.perf_counter()
        count = 0
        while count < _WARMUP_CALLS and (count < 2 or time.perf_counter() - begun < _WARMUP_SECONDS):
            self._version.run(self._signature, self._inputs)
            count += 1

    def _calls(self) -> Iterator[float]:
        self._warm_up()  # the caches were another's while this process waited
        begun = time.perf_counter()
        for count in range(_MOST_CALLS):
            if count >= _LEAST_CALLS and time.perf_counter() - begun >= _SECONDS:
                return
            start = time.perf_counter()
            self._version.run(self._signature, self._inputs)
            yield time.perf_counter() - start


def _steps(answer: Mapping[str, NDArray[Any]]) -> int:
    return max(1, int(answer[_COUNTS].max(initial=1))) if _COUNTS in answer else 1


def _saved_model(directory: Path) -> Any:
    try:
        saved_model = saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    except Exception as error:
        raise ValidationError(f"{directory} holds no SavedModel: {one_line(error)}") from error
    if not saved_model.meta_graphs:
        raise ValidationError(f"{directory} holds no SavedModel: there is no graph in it")
    return saved_model


def _load_text_ops(saved_model: Any) -> None:
    known = known_ops(DEFAULT_TARGET)
    if any(needs_text_ops(Graph(meta_graph), known) for meta_graph in saved_model.meta_graphs):
        _, faults = load_text_ops()
        if faults:
            raise ValidationError(faults[0])


def _request(directory: Path) -> tuple[str, Mapping[str, NDArray[Any]]]:
    requests = {record.predict_log.request.model_spec.signature_name: record_inputs(record)
                for record in read_warmup(directory) if record.HasField("predict_log")}
    for name in (*_FAVOURITES, *requests):
        if name in requests:
            return name, requests[name]
    raise ValidationError(f"{directory} has no warm-up record of a predict request to time.")


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:  # elsewhere than on Linux, the largest there ever was; in KiB but on macOS
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
