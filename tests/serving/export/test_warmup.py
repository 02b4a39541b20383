"""Warm-up records are what TensorFlow Serving's own messages read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.export.samples import strings
from serving.export.warmup import MAX_RECORDS, WARMUP_FILE, read_warmup, write_warmup

METHODS = {"serving_default": "predict", "serve_bytes": "predict", "classify": "classify", "regress": "regress"}
INPUTS = {
    "serving_default": {"image": np.arange(24, dtype=np.float32).reshape(3, 2, 4)},
    "serve_bytes": {"image_bytes": strings([b"one\x00", b"two", b"three"])},
    "classify": {"inputs": strings([tf.train.Example().SerializeToString()] * 3)},
    "regress": {"inputs": strings([tf.train.Example().SerializeToString()] * 3)},
}


@pytest.fixture
def official(tmp_path: Path) -> list[prediction_log_pb2.PredictionLog]:
    assert write_warmup(tmp_path, "m", METHODS, INPUTS, (1, 4)) == 8
    records = tf.data.TFRecordDataset(str(tmp_path / WARMUP_FILE)).as_numpy_iterator()
    return [prediction_log_pb2.PredictionLog.FromString(record) for record in records]


def test_a_record_per_signature_and_batch_size(official: list[prediction_log_pb2.PredictionLog]) -> None:
    """Kind of call, model and signature names stand where the server looks for them."""
    kinds = [record.WhichOneof("log_type") for record in official]
    assert kinds == ["predict_log"] * 4 + ["classify_log"] * 2 + ["regress_log"] * 2
    specs = [getattr(record, kind).request.model_spec for record, kind in zip(official, kinds, strict=True)]
    assert {spec.name for spec in specs} == {"m"}
    assert [spec.signature_name for spec in specs] == [name for name in INPUTS for _ in range(2)]
    assert len(official) <= MAX_RECORDS


def test_tensors_are_read_by_tensorflow(official: list[prediction_log_pb2.PredictionLog]) -> None:
    """Numbers and bytes come back as they were, rows repeated to fill the batch."""
    four = official[1].predict_log.request.inputs["image"]
    np.testing.assert_array_equal(tf.make_ndarray(four), INPUTS["serving_default"]["image"][[0, 1, 2, 0]])
    assert tf.make_ndarray(official[3].predict_log.request.inputs["image_bytes"]).tolist() == [
        b"one\x00", b"two", b"three", b"one\x00"]
    assert len(official[5].classify_log.request.input.example_list.examples) == 4
    assert len(official[6].regress_log.request.input.example_list.examples) == 1


def test_large_tensors_cost_no_bytes(tmp_path: Path) -> None:
    """A batch of 224x224 pictures as numbers is one value that fills the shape."""
    write_warmup(tmp_path, "m", METHODS, {"serving_default": {"image": np.ones((1, 224, 224, 3), np.float32)}}, (8,))
    assert (tmp_path / WARMUP_FILE).stat().st_size < 300
    record = prediction_log_pb2.PredictionLog.FromString(
        next(tf.data.TFRecordDataset(str(tmp_path / WARMUP_FILE)).as_numpy_iterator()))
    array = tf.make_ndarray(record.predict_log.request.inputs["image"])
    assert array.shape == (8, 224, 224, 3)
    assert np.unique(array).tolist() == [0.5]


def test_our_reader_reads_what_we_write(tmp_path: Path) -> None:
    """The validating process sees the same records; a version without the file has none."""
    assert list(read_warmup(tmp_path)) == []
    write_warmup(tmp_path, "m", METHODS, INPUTS, (2,))
    assert [record.WhichOneof("log_type") for record in read_warmup(tmp_path)] == [
        "predict_log", "predict_log", "classify_log", "regress_log"]
