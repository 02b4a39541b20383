"""saved_model.pb has the same bytes every time, and names that cannot be mixed up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from serving.export import export_model
from serving.export.replay import LoadedVersion
from serving.export.samples import strings
from tests.serving.export.small_models import image_classifier, table_regressor, text_classifier
from zoo.spec import record_of


def graph(path: Path) -> Any:
    return saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs[0]


@pytest.mark.parametrize("make", [image_classifier, text_classifier, table_regressor], ids=lambda make: make.__name__)
def test_two_exports_in_one_process_have_the_same_bytes(tmp_path: Path, make: Any) -> None:
    """TensorFlow's counters of functions, loops, tables and captured values do not reach the files."""
    first = export_model(make(), tmp_path, validate=False).path
    tf.function(lambda x: tf.while_loop(lambda i: i < 3, lambda i: (i + 1,), [x]))(tf.constant(0))
    second = export_model(make(), tmp_path, validate=False).path
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001",
                 "assets.extra/tf_serving_warmup_requests", "manifest.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert not (first / "fingerprint.pb").exists()


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_model(text_classifier(), tmp_path_factory.mktemp("models"), validate=False).path


def test_functions_are_numbered_from_zero(version: Path) -> None:
    """Every function's name ends in its place in the file, whatever the process traced before."""
    names = [function.signature.name for function in graph(version).graph_def.library.function]
    assert all(name.endswith(f"_{index}") for index, name in enumerate(names)), names
    assert any("serve_text" in name for name in names)


def test_method_names_are_those_of_tensorflow_serving(version: Path) -> None:
    """A server that checks the kind of a signature finds it."""
    methods = {name: signature.method_name for name, signature in graph(version).signature_def.items()
               if not name.startswith("__")}
    assert methods == {"serving_default": "tensorflow/serving/predict", "serve_text": "tensorflow/serving/predict",
                       "classify": "tensorflow/serving/classify"}


def test_variables_are_told_apart(version: Path) -> None:
    """No two variables of a session share a name, though two layers of an LSTM call theirs alike."""
    names = [node.attr["shared_name"].s for node in graph(version).graph_def.node if node.op == "VarHandleOp"]
    assert len(names) == len(set(names)) == 9
    assert all(names)


def test_two_loaded_models_keep_their_tables_apart(tmp_path: Path) -> None:
    """Tables of different vocabularies have different names, so models in one process do not mix their words up."""
    one, other = text_classifier(), text_classifier()
    changed = record_of(other).preprocessing
    words: Any = type(changed)(max_length=6, vocabulary=("bad", "good", "the", "film", "naïve", "was"))
    other.zoo_record = record_of(other).replace(preprocessing=words)
    paths = [export_model(model, tmp_path, validate=False).path for model in (one, other)]
    tables = [{node.attr["shared_name"].s for node in graph(path).graph_def.node if node.op == "HashTableV2"}
              for path in paths]
    assert all(len(names) == 1 for names in tables)
    assert tables[0] != tables[1]
    loaded = [tf.saved_model.load(str(path)) for path in paths]
    sentence = "good film"
    for path, eager in zip(paths, loaded, strict=True):
        with LoadedVersion(path) as session:
            served = session.run("serve_text", {"text": strings([sentence.encode()])})
        scores = eager.signatures["serve_text"](text=tf.constant([sentence]))["scores"]
        np.testing.assert_allclose(scores, served["scores"], rtol=1e-5)
    scores = [eager.signatures["serve_text"](text=tf.constant([sentence]))["scores"].numpy() for eager in loaded]
    assert np.abs(scores[0] - scores[1]).max() > 1e-4
