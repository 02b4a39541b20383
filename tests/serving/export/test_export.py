"""One call writes a version that TensorFlow Serving can load; nothing else ever appears under a number."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from serving.errors import ExportError, ValidationError
from serving.export import ExportResult, export_model
from serving.export.replay import LoadedVersion
from serving.manifest import file_faults, read_manifest
from serving.repository import list_versions
from tests.serving.export.small_models import image_classifier, table_regressor, tensor_classifier, with_record
from zoo.errors import ArgumentError
from zoo.spec import TensorPreprocessing, record_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def model() -> Any:
    return image_classifier()


@pytest.fixture(scope="module")
def result(model: Any, tmp_path_factory: pytest.TempPathFactory) -> ExportResult:
    return export_model(model, tmp_path_factory.mktemp("models"), top_k=3)


def test_the_version_is_complete_and_validated(result: ExportResult) -> None:
    """The folder has every file of the contract, and the clean process found nothing wrong."""
    files = {path.relative_to(result.path).as_posix() for path in result.path.rglob("*") if path.is_file()}
    assert files == {"saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001",
                     "assets.extra/tf_serving_warmup_requests", "batching_params.pbtxt", "manifest.json",
                     "MODEL_CARD.md", "server.env", "server.flags"}
    assert (result.name, result.version, result.path.name) == ("pictures", 1, "1")
    assert result.validation is not None
    assert result.validation.ok
    assert result.validation.directory == str(result.path)
    assert [check.name for check in result.validation.checks] == ["files", "graph", "contract", "weights", "loading",
                                                                  "warm-up", "golden vectors"]
    assert [path.name for path in result.path.parent.iterdir()] == ["1"], "no staging folder is left"


def test_the_manifest_is_the_contract(result: ExportResult, model: Any) -> None:
    """Signatures, labels, record and digests stand in manifest.json as they were returned."""
    manifest = read_manifest(result.path)
    assert manifest == result.manifest
    assert list(file_faults(result.path, manifest)) == []
    assert set(manifest.signatures) == {"serving_default", "serve_bytes", "classify"}
    assert manifest.labels == record_of(model).labels
    assert manifest.record == json.loads(json.dumps(record_of(model).to_dict()))
    assert (manifest.top_k, manifest.threshold, manifest.target_serving) == (3, None, "2.20")
    assert {vector["signature"] for vector in manifest.golden} == set(manifest.signatures)


def test_each_weight_is_stored_once(result: ExportResult, model: Any) -> None:
    """The checkpoint holds the weights' bytes, within 5 per cent or 4 kB of index."""
    weights = sum(weight.nbytes for weight in model.get_weights())
    stored = sum(path.stat().st_size for path in (result.path / "variables").iterdir())
    assert weights <= stored <= max(1.05 * weights, weights + 4096)
    entries = [name for name, _ in tf.train.list_variables(str(result.path / "variables" / "variables"))]
    assert len([name for name in entries if not name.startswith("_")]) == len(model.weights)


def test_optimizer_slots_stay_out(tmp_path: Path) -> None:
    """A model that was trained with Adam exports as many variables as one that was not."""
    model = tensor_classifier()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(np.ones((4, 3), np.float32), np.zeros(4), verbose=0)
    path = export_model(model, tmp_path, validate=False).path
    entries = [name for name, _ in tf.train.list_variables(str(path / "variables" / "variables"))]
    assert len([name for name in entries if not name.startswith("_")]) == 2


def test_the_large_weights_fill_the_disk_once(tmp_path: Path) -> None:
    """With a megabyte of weights the whole folder `variables` is within 5 per cent of them."""
    features = keras.Input((512,), name="features")
    model = with_record(keras.Model(features, keras.layers.Dense(512, name="predictions")(features), name="wide"),
                        "regression", TensorPreprocessing())
    path = export_model(model, tmp_path, validate=False).path
    stored = sum(file.stat().st_size for file in (path / "variables").iterdir())
    assert stored == pytest.approx(4 * 513 * 512, rel=0.05)


def test_no_path_of_this_machine_is_in_the_files(result: ExportResult) -> None:
    """Nothing tells where the model was exported."""
    for path in result.path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert str(ROOT).encode() not in content, path
            assert str(result.path.parent).encode() not in content, path


def test_both_loaders_answer_alike(result: ExportResult) -> None:
    """tf.saved_model.load and a session with tag "serve" give the same answers as each other."""
    pixels = np.random.default_rng(0).normal(size=(3, 12, 10, 3)).astype(np.float32)
    loaded = tf.saved_model.load(str(result.path))
    function = loaded.signatures["serving_default"]
    with LoadedVersion(result.path) as version:
        served = version.run("serving_default", {"image": pixels})
    np.testing.assert_allclose(function(image=tf.constant(pixels))["probabilities"], served["probabilities"], atol=1e-6)


# === Numbers, names and refusals ===


def test_versions_count_up_and_are_never_overwritten(tmp_path: Path) -> None:
    """The next free number is taken; one that exists is refused before any work."""
    model = tensor_classifier()
    assert export_model(model, tmp_path, version=4, validate=False, warmup=False).version == 4
    assert export_model(model, tmp_path, validate=False).path == tmp_path / "plain" / "5"
    before = (tmp_path / "plain" / "4" / "manifest.json").read_bytes()
    with pytest.raises(ExportError, match="Version 4 of 'plain' exists"):
        export_model(model, tmp_path, version=4, validate=False)
    assert (tmp_path / "plain" / "4" / "manifest.json").read_bytes() == before
    assert list_versions(tmp_path, "plain") == [4, 5]


@pytest.mark.parametrize(("arguments", "words"), [
    ({"name": "a/b"}, "part of the URL"),
    ({"version": 0}, "whole number from 1"),
    ({"top_k": 0}, "`top_k` must be at least 1"),
    ({"batch_sizes": ()}, "`batch_sizes` must be"),
    ({"batch_sizes": (2, 1)}, "each larger than the one before"),
    ({"allowed_batch_sizes": (0,)}, "`allowed_batch_sizes` must be"),
    ({"target_serving": "1.15"}, "Known releases: 2.18, 2.19, 2.20"),
    ({"samples": {"wrong": [[1.0]]}}, "with the names features"),
    ({"samples": {"features": [[1.0]]}}, r"must have the shape \[None, 3\]"),
])
def test_wrong_arguments_leave_nothing(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    """Each wrong argument is one clear error, and the root is not even made."""
    with pytest.raises(ExportError, match=words):
        export_model(tensor_classifier(), tmp_path / "models", validate=False, **arguments)
    assert not (tmp_path / "models").exists()


def test_a_model_without_a_record_is_refused(tmp_path: Path) -> None:
    """The record is the one thing that export needs besides the model."""
    with pytest.raises(ArgumentError, match="carries no zoo record"):
        export_model(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), tmp_path)


def test_logits_are_no_probabilities(tmp_path: Path) -> None:
    """A classifier without softmax is refused, with what to do."""
    features = keras.Input((3,), name="features")
    model = with_record(keras.Model(features, keras.layers.Dense(4, name="predictions")(features), name="logits"),
                        "classification", TensorPreprocessing())
    with pytest.raises(ExportError, match="classifier_activation='softmax'"):
        export_model(model, tmp_path)


def test_broken_weights_are_refused(tmp_path: Path) -> None:
    """A model that answers NaN is not published."""
    model = tensor_classifier()
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    with pytest.raises(ExportError, match="NaN or infinity"):
        export_model(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_labels_must_fit_the_classes(tmp_path: Path) -> None:
    """Two labels for four classes would name the wrong things."""
    with pytest.raises(ExportError, match="4 classes and its record 2 labels"):
        export_model(tensor_classifier(labels=("a", "b")), tmp_path)


def test_an_unserved_operation_is_not_published(tmp_path: Path) -> None:
    """What the clean process finds stops the publication and leaves nothing behind."""

    class Reading(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            content = tf.io.read_file(tf.constant("/etc/hostname"))
            return inputs + 0.0 * tf.cast(tf.strings.length(content), tf.float32)

    features = keras.Input((3,), name="features")
    model = with_record(keras.Model(features, Reading(name="reading")(features), name="reader"), "regression",
                        TensorPreprocessing())
    with pytest.raises(ValidationError, match=r"must not be served:\n  - files: The operation 'ReadFile'"):
        export_model(model, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_samples_of_the_user_are_the_golden_vectors(tmp_path: Path) -> None:
    """Rows that the user gives are what is replayed."""
    rows = [{"sepal length (cm)": 5.1, "Farbe/é": "green", "age": 3},
            {"sepal length (cm)": 4.0, "Farbe/é": "?", "age": 9}]
    path = export_model(table_regressor(), tmp_path, samples=rows, validate=False).path
    golden = {vector["signature"]: vector for vector in read_manifest(path).golden}
    assert golden["serve_columns"]["inputs"]["age"]["shape"] == [2]


# === Disks and processes ===


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """What a full disk looks like to a writer: the system refuses the bytes beyond."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """When the system takes no more bytes, the export says so and removes what it wrote."""
    with pytest.raises(ExportError, match="could not be written"), files_no_larger_than(8192):
        export_model(tensor_classifier(), tmp_path / "models", validate=False)
    assert not (tmp_path / "models").exists()


def test_a_disk_without_room_is_noticed_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights' size is compared with the free space before anything is written."""
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(ExportError, match="MB free"):
        export_model(tensor_classifier(), tmp_path / "models")
    assert not (tmp_path / "models").exists()


EXPORT = """
import sys
from serving.export import export_model
from tests.serving.export.small_models import image_classifier, text_classifier
model = {"image": image_classifier, "text": text_classifier}[sys.argv[2]]()
print("ready", flush=True)
for _ in range(int(sys.argv[3])):
    print(export_model(model, sys.argv[1], validate=False).path, flush=True)
"""


def exporter(root: Path, kind: str, times: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", EXPORT, str(root), kind, str(times)], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def test_two_exporters_at_once_write_two_equal_versions(tmp_path: Path) -> None:
    """Two real processes get two numbers, and graph, weights, warm-up and manifest have the same bytes in both."""
    writers = [exporter(tmp_path, "text", 1), exporter(tmp_path, "text", 1)]
    for writer in writers:
        assert writer.communicate(timeout=300)[0].startswith("ready")
        assert writer.returncode == 0
    assert list_versions(tmp_path, "texts") == [1, 2]
    first, second = ((tmp_path / "texts" / version) for version in ("1", "2"))
    assert read_manifest(first).files.keys() > {"saved_model.pb", "variables/variables.index"}
    for name in (*read_manifest(first).files, "manifest.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_sigkill_leaves_no_half_version(tmp_path: Path) -> None:
    """Real exports killed at arbitrary moments leave numbered folders that are whole, and no staging after the next."""
    for delay in (0.15, 0.9):
        with exporter(tmp_path, "image", 100) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            writer.stdout.readline()  # one is published, and the next one begins
            time.sleep(delay)
            os.kill(writer.pid, signal.SIGKILL)
    versions = list_versions(tmp_path, "pictures")
    assert len(versions) >= 2
    for version in versions:
        folder = tmp_path / "pictures" / str(version)
        assert list(file_faults(folder, read_manifest(folder))) == []
    export_model(tensor_classifier(), tmp_path, name="pictures", validate=False, warmup=False)
    assert not [path.name for path in (tmp_path / "pictures").iterdir() if path.name.startswith(".")]
