"""Signatures as plain data."""

from __future__ import annotations

import numpy as np
import pytest

from serving.protocol.generated.tensor_pb2 import DataType, SignatureDef
from serving.protocol.signatures import (
    Signature,
    TensorSpec,
    signature_from_proto,
    signatures_from_map,
    signatures_to_map,
)


@pytest.fixture
def signature() -> Signature:
    return Signature(
        inputs={"x": TensorSpec(DataType.DT_FLOAT, (None, 3), "x:0")},
        outputs={"y": TensorSpec(DataType.DT_STRING, None, "y:0"), "z": TensorSpec(DataType.DT_INT64, (), "z:0")},
        method_name="tensorflow/serving/predict",
        defaults={"x": np.zeros((1, 3), np.float32)},
    )


def test_signatures_survive_the_wire_without_their_defaults(signature: Signature) -> None:
    """A GetModelMetadata answer says everything but the defaults, as TensorFlow Serving's since 2.20."""
    message = signatures_to_map({"serving_default": signature})
    back = signatures_from_map(message)["serving_default"]
    assert (back.inputs, back.outputs, back.method_name) == (signature.inputs, signature.outputs, signature.method_name)
    assert back.defaults == {}


def test_sparse_tensors_have_no_name() -> None:
    """A TensorInfo with a sparse encoding is read, without a name, and its unknown fields do no harm."""
    sparse = b"\x0a\x0c\x0a\x01x\x12\x07\x22\x03\x0a\x01v\x10\x01"
    assert signature_from_proto(SignatureDef.FromString(sparse)).inputs["x"].tensor_name == ""


@pytest.mark.parametrize(
    "shape, given, fits",
    [
        ((None, 3), (5, 3), True),
        ((None, 3), (5, 2), False),
        ((None,), (5, 3), False),
        (None, (1, 2), True),
        ((), (), True),
    ],
)
def test_shapes_fit_or_not(shape: tuple[int | None, ...] | None, given: tuple[int, ...], fits: bool) -> None:
    """An open size takes any, an open rank takes all, everything else must be equal."""
    assert TensorSpec(DataType.DT_FLOAT, shape).accepts_shape(given) is fits


def test_specs_read_well_in_messages() -> None:
    """A spec is written as its kind and sizes."""
    assert str(TensorSpec(DataType.DT_FLOAT, (None, 3))) == "float32 [?, 3]"
    assert str(TensorSpec(DataType.DT_STRING, None)) == "string of any shape"
