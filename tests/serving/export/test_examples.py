"""What the classify and regress signatures read from a tf.Example."""

from __future__ import annotations

import tensorflow as tf

from serving.export.examples import feature_spec
from tests.serving.export.small_models import IRIS
from zoo.spec import ImagePreprocessing, TensorPreprocessing, TextPreprocessing


def test_feature_names_are_pinned() -> None:
    """Pictures, texts and columns have the names that the contract says."""
    assert set(feature_spec(ImagePreprocessing(height=1, width=1), {})) == {"image/encoded"}
    assert set(feature_spec(TextPreprocessing(max_length=1), {})) == {"text"}
    columns = feature_spec(IRIS, {})
    assert isinstance(columns, dict)
    assert {name: feature.dtype for name, feature in columns.items()} == {
        "sepal length (cm)": tf.float32, "Farbe/é": tf.string, "age": tf.float32}


def test_tensors_of_fixed_shape_are_number_lists() -> None:
    """A model's own input is a flat list of floats or integers."""
    specs = {"x": tf.TensorSpec([None, 2, 3], tf.float32), "ids": tf.TensorSpec([None, 4], tf.int32)}
    features = feature_spec(TensorPreprocessing(), specs)
    assert isinstance(features, dict)
    assert (features["x"].dtype, features["ids"].dtype) == (tf.float32, tf.int64)
    parsed = tf.io.parse_example([tf.train.Example(features=tf.train.Features(feature={
        "x": tf.train.Feature(float_list=tf.train.FloatList(value=range(6))),
        "ids": tf.train.Feature(int64_list=tf.train.Int64List(value=range(4)))})).SerializeToString()], features)
    assert parsed["x"].shape == (1, 2, 3)


def test_an_open_axis_is_a_reason_not_an_error() -> None:
    """A list of numbers cannot say how long a sequence is, so there is no such signature."""
    reason = feature_spec(TensorPreprocessing(), {"source": tf.TensorSpec([None, None, 4], tf.float32)})
    assert isinstance(reason, str)
    assert "'source' has an axis of any size" in reason
