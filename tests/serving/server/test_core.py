"""The core: what every transport shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from serving.errors import InternalServerError, InvalidRequestError, ServableNotFoundError
from serving.protocol.examples import example_from_values
from serving.protocol.signatures import Signature
from serving.server.core import AnsweredBy, ModelRequest, ServingCore
from serving.server.manager import ModelManager
from serving.server.metrics import ServerMetrics
from serving.server.servable import load_servable
from serving.server.source import FolderSource


@pytest.fixture(scope="module")
def manager(tiny_root: Path) -> Iterator[ModelManager]:
    manager = ModelManager(FolderSource(tiny_root), load_servable)
    manager.start()
    assert manager.wait_until_settled(60)
    yield manager
    manager.stop()


@pytest.fixture
def metrics() -> ServerMetrics:
    return ServerMetrics()


@pytest.fixture
def core(manager: ModelManager, metrics: ServerMetrics) -> ServingCore:
    return ServingCore(manager, metrics)


def numbers(signature: Signature) -> dict[str, np.ndarray]:
    assert list(signature.inputs) == ["x"]
    return {"x": np.array([2], np.float32)}


def test_an_answer_says_who_gave_it(core: ServingCore) -> None:
    """Version and full signature name come with the outputs."""
    answered_by, outputs = core.predict(ModelRequest("half_plus_two"), numbers)
    assert answered_by == AnsweredBy("half_plus_two", 1, "serving_default")
    assert outputs["y"].tolist() == [3.0]
    example = example_from_values({"x": 1.0}).SerializeToString()
    request = ModelRequest("half_plus_two", signature_name="regress")
    assert core.regress(request, [example]) == (AnsweredBy("half_plus_two", 1, "regress"), [2.5])
    assert sorted(core.signatures(ModelRequest("half_plus_two"))[1]) == ["classify", "regress", "serving_default"]


def test_requests_are_counted_and_unknown_names_are_counted_together(core: ServingCore, metrics: ServerMetrics) -> None:
    """The metrics page has one line per known model and status; names from outside cannot fill it."""
    core.predict(ModelRequest("half_plus_two", entrypoint="REST"), numbers)
    for name in ("stranger", "danger"):
        with pytest.raises(ServableNotFoundError):
            core.predict(ModelRequest(name), numbers)
        with pytest.raises(InvalidRequestError, match="Unrecognized servable version label: stable"):
            core.predict(ModelRequest(name, label="stable"), numbers)
    with pytest.raises(InvalidRequestError, match="ModelSpec has no name specified"):
        core.predict(ModelRequest(""), numbers)
    page = metrics.page().decode()
    assert ':tensorflow:serving:request_count{model_name="half_plus_two",status="OK"} 1.0' in page
    assert ':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"} 2.0' in page
    assert 'request_latency_count{API="Predict",entrypoint="REST",model_name="half_plus_two"} 1.0' in page
    assert "stranger" not in page


def test_an_unforeseen_failure_says_nothing_to_the_client(
    core: ServingCore, metrics: ServerMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug becomes INTERNAL without its words; the log has them."""

    def bug(signature: Signature) -> dict[str, np.ndarray]:
        raise ZeroDivisionError("secret path")

    with pytest.raises(InternalServerError) as caught:
        core.predict(ModelRequest("half_plus_two"), bug)
    assert "secret" not in str(caught.value)
    assert "secret path" in caplog.text
    assert 'status="INTERNAL"} 1.0' in metrics.page().decode()
