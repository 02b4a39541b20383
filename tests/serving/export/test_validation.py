"""Reports read back what they wrote, and a validator that dies is a finding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf
import tensorflow_text

from serving.errors import ValidationError
from serving.export import export_model
from serving.export.validation import Check, Finding, ValidationReport, validate
from tests.serving.export.small_models import with_record
from zoo.spec import TensorPreprocessing

GOOD = ValidationReport("/m/1", "2.20", (Check("files", "3 files"),), (), 1.5)
BAD = ValidationReport("/m/1", "2.20", (), (Finding("xla", "compiled"), Finding("files", "gone")), 0.1)


@pytest.mark.parametrize("report", [GOOD, BAD])
def test_json_round_trip(report: ValidationReport) -> None:
    """What the clean process prints is what the caller gets."""
    assert ValidationReport.from_dict(json.loads(report.to_json())) == report
    assert json.loads(report.to_json())["ok"] is report.ok


def test_findings_are_an_error_with_a_line_each() -> None:
    """`require_ok` passes a good version and names every fault of a bad one."""
    GOOD.require_ok()
    with pytest.raises(ValidationError, match="/m/1 must not be served:\n  - xla: compiled\n  - files: gone"):
        BAD.require_ok()


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """No process is started for a folder that is not there."""
    with pytest.raises(ValidationError, match="Expected a version folder such as"):
        validate(tmp_path / "1")


def test_a_process_that_gives_no_answer_is_a_finding(tmp_path: Path) -> None:
    """A time-out is reported like any other fault, not raised."""
    report = validate(tmp_path, timeout_seconds=0.01)
    assert not report.ok
    assert [finding.check for finding in report.findings] == ["process"]
    assert "gave no answer within" in report.findings[0].message


def test_a_process_without_a_report_is_a_finding(tmp_path: Path) -> None:
    """A process that ends otherwise (here: an argument it does not know) is a finding with its last words."""
    report = validate(tmp_path, target_serving="--help")
    assert [finding.check for finding in report.findings] == ["process"]
    assert "ended with code 2 and no report" in report.findings[0].message


class Normalised(keras.layers.Layer):
    """Numbers as text and back, by way of an operation of TensorFlow Text."""

    def call(self, inputs: Any) -> Any:
        return tf.strings.to_number(tensorflow_text.normalize_utf8(tf.strings.as_string(inputs)))


def test_operations_of_tensorflow_text_are_loaded_without_keras(tmp_path: Path) -> None:
    """The clean process brings TensorFlow Text in for a model that needs it, as TensorFlow Serving has it built in."""
    features = keras.Input((2,), name="features")
    model = with_record(keras.Model(features, Normalised(name="predictions")(features), name="text_ops"), "regression",
                        TensorPreprocessing())
    report = validate(export_model(model, tmp_path, validate=False).path)
    assert report.ok, report.findings
    assert "text" in [check.name for check in report.checks]
