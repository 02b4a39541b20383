"""Timing single calls of an exported version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from serving.errors import ValidationError
from serving.export import export_model
from serving.export.stopwatch import Stopwatch, _request, _steps
from tests.serving.export.small_models import image_classifier, table_regressor, tensor_classifier, text_classifier


@pytest.mark.parametrize(("make", "signature"), [(image_classifier, "serve_bytes"), (text_classifier, "serve_text"),
                                                 (table_regressor, "serve_columns"),
                                                 (tensor_classifier, "serving_default")])
def test_the_call_of_a_client_is_timed(make: object, signature: str, tmp_path: Path) -> None:
    """One example, as a client has it at hand: a picture's bytes, a text, the columns of a row."""
    path = export_model(make(), tmp_path, batch_sizes=(1,), validate=False).path  # type: ignore[operator]
    name, inputs = _request(path)
    assert name == signature
    assert {array.shape[0] for array in inputs.values()} == {1}


def test_a_loaded_version_is_timed(tmp_path: Path) -> None:
    """Three digits of each figure are given: more do not repeat."""
    with Stopwatch(export_model(tensor_classifier(), tmp_path, validate=False).path) as watch:
        values = watch.measure()
    assert 0 < values["latency_ms"] <= values["latency_p99_ms"]
    assert values == {name: float(f"{value:.3g}") for name, value in values.items()}


def test_texts_that_are_written_take_a_step_for_each_token() -> None:
    """The longest one's tokens count, so that levels which write texts of other lengths compare."""
    assert _steps({"token_count": np.array([3, 7])}) == 7
    assert _steps({"token_count": np.array([0])}) == 1
    assert _steps({"scores": np.array([[0.9]])}) == 1


def test_a_version_without_a_request_cannot_be_timed(tmp_path: Path) -> None:
    """The message says what is missing."""
    path = export_model(tensor_classifier(), tmp_path, warmup=False, validate=False).path
    with pytest.raises(ValidationError, match="has no warm-up record of a predict request to time"):
        Stopwatch(path)
