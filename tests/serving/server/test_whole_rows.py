"""OpenVINO computes all rows of a request at once, where the export's graph computes them in parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorflow.core.protobuf import saved_model_pb2

from serving.export import export_model
from serving.server.forward_function import forward_function_of
from serving.server.inference import predict
from serving.server.openvino_servable import load_openvino_servable
from serving.server.servable import load_servable
from serving.server.whole_rows import computes_parts, with_whole_rows
from tests.serving.export.small_models import image_classifier, large_classifier, large_features


@pytest.mark.parametrize("make", [large_classifier, large_features])
def test_openvino_answers_as_tensorflow_does(make: Callable[[], Any], tmp_path: Path) -> None:
    """For any number of rows, such as five, of which TensorFlow computes two and three; several inputs and outputs."""
    folder = export_model(make(), tmp_path, name="m", optimize="safe", cores=2, validate=False, batch_sizes=(1,)).path
    meta_graph = graph_of(folder)
    forward = forward_function_of(meta_graph)
    assert computes_parts(meta_graph, forward.name)
    assert not computes_parts(with_whole_rows(meta_graph, forward.name), forward.name)
    assert meta_graph == graph_of(folder)
    plain, servable = load_servable("m", 1, folder), load_openvino_servable("m", 1, folder)
    assert servable.runtime == "openvino"
    generator = np.random.default_rng(4)
    for rows in (0, 1, 2, 3, 5):
        given = {name: generator.uniform(0, 1, (rows, *((96, 96, 3) if name != "factor" else (1,)))).astype(np.float32)
                 for name in forward.inputs}
        expected, answers = predict(plain, "", given), predict(servable, "", given)
        for name, array in expected.items():
            assert answers[name].shape == array.shape
            np.testing.assert_allclose(answers[name], array, rtol=1e-3, atol=1e-5)
    for loaded in (plain, servable):
        loaded.close()


def test_a_graph_without_parts_is_told_apart(tmp_path: Path) -> None:
    """A small model is called once for all rows."""
    meta_graph = graph_of(export_model(image_classifier(), tmp_path, optimize="safe", cores=2, validate=False).path)
    assert not computes_parts(meta_graph, forward_function_of(meta_graph).name)


def graph_of(folder: Path) -> Any:
    return saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0]
