"""A signature keeps the defaults of its inputs through the file: for sessions, the manifest and the embedded server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from serving.errors import InvalidRequestError, ValidationError
from serving.export.replay import LoadedVersion
from serving.export.saved_model_file import make_canonical
from serving.export.signature import PREDICT, Signature, make_signature
from serving.manifest import SignatureContract, TensorContract
from serving.server.inference import predict
from serving.server.servable import load_servable

INPUTS = {"x": tf.TensorSpec([None], tf.float32), "factor-1": tf.TensorSpec([None], tf.float32),
          "word": tf.TensorSpec([None, None], tf.string)}
DEFAULTS = {"factor-1": [0.1], "word": [["é", ""]]}


def signature() -> Signature:
    def body(tensors: list[object]) -> dict[str, object]:
        x, factor, word = tensors
        return {"y": x * factor, "said": tf.broadcast_to(tf.strings.reduce_join(word), tf.shape(x))}  # type: ignore

    return make_signature("scaled", PREDICT, INPUTS, body, defaults=DEFAULTS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version whose signature has names that are no arguments, written as an export writes it."""
    made, path = signature(), tmp_path_factory.mktemp("scaled") / "1"
    tf.saved_model.save(tf.Module(), str(path), signatures={"scaled": made.function})
    make_canonical(path, {"scaled": PREDICT}, {"scaled": made.aliases}, {"scaled": made.defaults})
    return path


def test_the_contract_says_what_may_be_left_out() -> None:
    """As plain data, which JSON can hold."""
    contract = signature().contract
    assert contract.inputs["word"] == TensorContract(dtype="string", shape=(None, None))
    assert contract.defaults == {"factor-1": [float(np.float32(0.1))], "word": [["é", ""]]}
    assert SignatureContract(method="predict", inputs={}, outputs={}).defaults == {}


def test_a_default_must_fit_its_input() -> None:
    """One of another rank is the exporter's mistake."""
    with pytest.raises(ValueError, match="does not fit an input of shape"):
        make_signature("s", PREDICT, {"x": INPUTS["x"]}, lambda tensors: {"y": tensors[0]}, defaults={"x": 1.0})


def test_defaults_are_in_the_file(folder: Path) -> None:
    """The SignatureDef has them by pinned name, in the input's kind."""
    proto = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    defaults = proto.meta_graphs[0].signature_def["scaled"].defaults
    assert set(defaults) == {"factor-1", "word"}
    assert tf.make_ndarray(defaults["word"]).tolist() == [["é".encode(), b""]]


def test_requests_may_leave_them_out(folder: Path) -> None:
    """A session and the embedded server fill them in; an input without a default must be there."""
    x = np.array([1, 2], np.float32)
    with LoadedVersion(folder) as version:
        np.testing.assert_allclose(version.run("scaled", {"x": x})["y"], [0.1, 0.2], rtol=1e-6)
        with pytest.raises(ValidationError, match="takes"):
            version.run("scaled", {"factor-1": x})
    servable = load_servable("scaled", 1, folder)
    answer = predict(servable, "scaled", {"x": x})
    np.testing.assert_allclose(answer["y"], [0.1, 0.2], rtol=1e-6)
    assert answer["said"].tolist() == ["é".encode()] * 2
    assert predict(servable, "scaled", {"x": x, "factor-1": x})["y"].tolist() == [1, 4]
    with pytest.raises(InvalidRequestError, match="alias: x"):
        predict(servable, "scaled", {"word": np.array([[b"a"]], object)})
    servable.close()
