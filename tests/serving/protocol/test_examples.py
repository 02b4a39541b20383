"""tf.Example without TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from serving.errors import InvalidRequestError
from serving.protocol.examples import example_from_values, examples_from_json, examples_of_input
from serving.protocol.generated.serving_pb2 import Example, ExampleList, ExampleListWithContext, Input


def features_of(serialized: bytes) -> dict[str, list[object]]:
    features = tf.train.Example.FromString(serialized).features.feature
    return {name: list(getattr(feature, feature.WhichOneof("kind")).value) for name, feature in features.items()}


def test_python_and_numpy_values_become_features() -> None:
    """Integers and bools, floats, text and bytes land in their lists, flattened."""
    example = example_from_values(
        {"n": [1, 2], "flag": True, "f": np.array([[0.5], [1.5]], np.float64), "text": "é", "raw": [b"\xff", b""]}
    )
    assert features_of(example.SerializeToString()) == {
        "n": [1, 2], "flag": [1], "f": [0.5, 1.5], "text": ["é".encode()], "raw": [b"\xff", b""],
    }  # fmt: skip


@pytest.mark.parametrize("value", [1j, [[1], [2, 3]], object()])
def test_other_values_are_refused(value: object) -> None:
    """A feature that a tf.Example cannot hold is named."""
    with pytest.raises(InvalidRequestError, match="odd"):
        example_from_values({"odd": value})


def test_the_context_is_shared_and_the_example_wins() -> None:
    """Every example gets the context's features; where both have one, the example's counts."""

    def example(**values: int) -> bytes:
        return example_from_values(values).SerializeToString()

    listed = ExampleListWithContext(examples=[example(a=1), example(c=3)], context=example(a=7, b=2))
    assert [features_of(one) for one in examples_of_input(Input(example_list_with_context=listed))] == [
        {"a": [1], "b": [2]},
        {"a": [7], "b": [2], "c": [3]},
    ]
    plain = Input(example_list=ExampleList(examples=[example(a=1)]))
    assert [features_of(one) for one in examples_of_input(plain)] == [{"a": [1]}]
    assert examples_of_input(Input()) == []


def test_json_values_become_features() -> None:
    """Numbers with a fraction are floats, whole ones and bools integers; base64 objects are bytes."""
    (serialized,) = examples_from_json(
        [{"i": [1, True], "f": 1.0, "s": ["a", {"b64": "/w=="}], "none": []}], context={"shared": 2}
    )
    features = tf.train.Example.FromString(serialized).features.feature
    assert features["none"].WhichOneof("kind") is None
    del features["none"]
    assert features_of(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()) == {
        "i": [1, 1], "f": [1.0], "s": [b"a", b"\xff"], "shared": [2],
    }  # fmt: skip
    assert Example.FromString(serialized).features.feature["f"].float_list.value == [1.0]
