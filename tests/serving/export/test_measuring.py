"""A model measured as it will be served."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import pytest

import serving.export.measuring as measuring
from serving.errors import ExportError
from serving.export import export_model
from serving.export.measuring import measure_exported
from tests.serving.export.small_models import tensor_classifier, text_classifier, with_record
from zoo.spec import TensorPreprocessing


class Quiet:
    """Counts how often it was quiet."""

    def __init__(self) -> None:
        self.times = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self.times += 1
        yield


def wide(units: int) -> Any:
    features = keras.Input((64,), name="features")
    x = keras.layers.Dense(units, name="hidden")(features)
    x = keras.layers.Dense(1, name="predictions")(x)
    return with_record(keras.Model(features, x, name="wide"), "regression", TensorPreprocessing())


def test_speed_size_and_memory_of_a_small_model() -> None:
    """All measures are finite and above 0, the tail is no faster than the median, and times are taken in quiet."""
    quiet = Quiet()
    names = ["latency_ms", "latency_p99_ms", "memory_mb", "size_mb", "parameters"]
    values = measure_exported(text_classifier(), names, quiet)
    assert list(values) == names
    assert 0 < values["latency_ms"] <= values["latency_p99_ms"] < 60_000
    assert 0 < values["size_mb"] < 5 and 0 < values["memory_mb"] < 2000
    assert quiet.times == 1


def test_size_grows_with_the_parameters(tmp_path: Path) -> None:
    """The size is that of what is served: a million more parameters are four megabytes; no clean process is started."""
    quiet = Quiet()
    small, large = (measure_exported(wide(units), ["size_mb", "parameters"], quiet) for units in (16, 16384))
    added = large["parameters"] - small["parameters"]
    assert large["size_mb"] - small["size_mb"] == pytest.approx(4 * added / 1e6, rel=0.01)
    assert quiet.times == 0
    exported = export_model(wide(16), tmp_path, validate=False).path
    everything = sum(path.stat().st_size for path in exported.rglob("*") if path.is_file())
    assert small["size_mb"] < everything / 1e6


def test_a_process_that_ends_early_says_why(tmp_path: Path) -> None:
    """What the clean process found comes back as an error, in its words."""
    path = export_model(tensor_classifier(), tmp_path, validate=False).path
    (path / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(ExportError, match=r"The exported model could not be measured: .* holds no SavedModel"):
        measuring._timed(path, Quiet())
