"""The forward pass in OpenVINO, everything around it in TensorFlow: the same answers and refusals."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.client import PredictClient
from serving.errors import InvalidRequestError, SettingsError
from serving.export import export_model
from serving.export.replay import record_inputs
from serving.export.warmup import read_warmup
from serving.server.app import running_server
from serving.server.inference import predict
from serving.server.openvino_servable import load_openvino_servable
from serving.server.servable import Servable, load_servable
from serving.server.settings import ServerSettings
from tests.serving.export.small_models import image_classifier, table_regressor, tensor_classifier, text_classifier
from tests.serving.tiny_models import Echo, save

Version = tuple[Path, Servable, Servable]


@pytest.fixture(scope="module", params=[image_classifier, text_classifier], ids=["image", "text"])
def version(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A version's folder, and what each runtime makes of it."""
    root = tmp_path_factory.mktemp("openvino")
    folder = export_model(request.param(), root, name="m", validate=False, batch_sizes=(1, 3)).path
    both = load_servable("m", 1, folder), load_openvino_servable("m", 1, folder)
    yield (folder, *both)
    for servable in both:
        servable.close()


def requests_of(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    return [(record.predict_log.request.model_spec.signature_name, record_inputs(record))
            for record in read_warmup(folder) if record.HasField("predict_log")]


def test_answers_are_those_of_tensorflow(version: Version) -> None:
    """Every warm-up request, string signatures among them, is answered alike; as a batch, row by row and empty."""
    folder, plain, servable = version
    assert servable.runtime == "openvino"
    names = set()
    for signature, inputs in requests_of(folder):
        names.add(signature)
        for rows in (slice(None), slice(1), slice(0)):
            given = {name: array[rows] for name, array in inputs.items()}
            expected, answers = predict(plain, signature, given), predict(servable, signature, given)
            assert expected.keys() == answers.keys()
            for name, array in expected.items():
                assert array.shape == answers[name].shape
                if array.dtype.kind == "f":
                    np.testing.assert_allclose(answers[name], array, rtol=1e-4, atol=1e-6)
                else:
                    np.testing.assert_array_equal(answers[name], array)
    assert "serving_default" in names
    assert len(names) > 1 or len(plain.signatures) == 1


def test_many_threads_are_answered_rightly(version: Version) -> None:
    """Requests at the same time do not get each other's answers."""
    folder, plain, servable = version
    inputs = next(inputs for name, inputs in requests_of(folder) if name == "serving_default")
    given = [{name: array * (1 if array.dtype.kind == "i" else turn) for name, array in inputs.items()}
             for turn in (1, 2, 3, 4)]
    expected = [predict(plain, "", one) for one in given]
    wrong: list[str] = []

    def ask(turn: int) -> None:
        for _ in range(10):
            answers = predict(servable, "", given[turn])
            wrong.extend(name for name in answers if not np.allclose(answers[name], expected[turn][name], atol=1e-5))

    threads = [threading.Thread(target=ask, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_the_graph_refuses_is_still_refused(tmp_path: Path) -> None:
    """A token that the model does not have is INVALID_ARGUMENT, with the same words."""
    folder = export_model(text_classifier(), tmp_path, validate=False).path
    both = load_servable("m", 1, folder), load_openvino_servable("m", 1, folder)
    (name, spec), = both[0].signatures["serving_default"].inputs.items()
    tokens = np.full([1, spec.shape[1] or 4], 10_000, np.int32)
    refusals = []
    for servable in both:
        with pytest.raises(InvalidRequestError, match="takes whole numbers from 0 to") as refused:
            predict(servable, "", {name: tokens})
        # Before it stands in which function the check is.
        refusals.append(str(refused.value).partition("assertion failed")[2].splitlines()[0])
        servable.close()
    assert both[1].runtime == "openvino"
    assert refusals[0] == refusals[1]


def test_what_openvino_cannot_read_runs_in_tensorflow(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A model of strings is served all the same, and the log says why not by OpenVINO."""
    folder = save(Echo(), tmp_path / "1")
    servable = load_openvino_servable("echo", 1, folder)
    assert servable.runtime == "tensorflow"
    assert "takes or gives strings" in caplog.text
    answer = predict(servable, "", {"text": np.array([b"a"], object)})
    assert answer["upper"].tolist() == [b"A"]
    servable.close()


def test_precision_is_the_graphs_unless_it_is_said(tmp_path: Path) -> None:
    """float32 graphs are computed exactly; with bfloat16, where the processor has it, more roughly."""
    model = tensor_classifier()
    folder = export_model(model, tmp_path, validate=False).path
    rows = np.random.default_rng(0).random((8, *model.input_shape[1:]), np.float32)
    (name, _), = load_servable("m", 1, folder).signatures["serving_default"].inputs.items()
    answers = []
    for load in (lambda: load_servable("m", 1, folder), lambda: load_openvino_servable("m", 1, folder),
                 lambda: load_openvino_servable("m", 1, folder, precision="bfloat16", threads=1)):
        servable = load()
        answers.append(predict(servable, "", {name: rows})["probabilities"])
        servable.close()
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-6)
    np.testing.assert_allclose(answers[2], answers[0], atol=2e-2)


def test_a_server_runs_in_openvino(tmp_path: Path) -> None:
    """Settings say the runtime; warm-up, gRPC and a new version work as ever."""
    export_model(table_regressor(), tmp_path, name="m", validate=False)
    settings = ServerSettings(root=tmp_path, grpc_port=0, rest_port=None, runtime="openvino", poll_interval_seconds=0.1)
    with running_server(settings) as server, PredictClient(f"grpc://127.0.0.1:{server.grpc_port}") as client:
        inputs = next(inputs for name, inputs in requests_of(tmp_path / "m" / "1") if name == "serving_default")
        first = client.predict("m", inputs)
        with server._manager.lease("m") as servable:
            assert servable.runtime == "openvino"
        assert next(iter(first.values())).shape[0] == len(next(iter(inputs.values())))


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without OpenVINO the server does not start, and says what to install."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    settings = ServerSettings(root=tmp_path, grpc_port=0, rest_port=None, runtime="openvino")
    with pytest.raises(SettingsError, match=r"pip install 'servable-zoo\[openvino\]'"), running_server(settings):
        pass


@pytest.mark.parametrize("given", [{"runtime": "onnx"}, {"openvino_precision": "int8"}])
def test_unknown_words_are_refused(given: dict[str, Any], tmp_path: Path) -> None:
    """A runtime or precision that does not exist is refused with those that do."""
    with pytest.raises(SettingsError, match='must be "'):
        ServerSettings(root=tmp_path, **given)
