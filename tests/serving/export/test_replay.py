"""A version in a session is held to its promises: contract, warm-up, golden vectors, batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from serving.errors import ValidationError
from serving.export import export_model
from serving.export.golden import encode
from serving.export.replay import LoadedVersion, contract_findings, golden_findings, warmup_findings
from serving.export.warmup import write_warmup
from serving.manifest import Manifest, TensorContract, read_manifest
from tests.serving.export.small_models import text_classifier


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_model(text_classifier(), tmp_path_factory.mktemp("models"), validate=False).path


@pytest.fixture(scope="module")
def version(path: Path) -> Iterator[LoadedVersion]:
    with LoadedVersion(path) as loaded:
        yield loaded


@pytest.fixture
def manifest(path: Path) -> Manifest:
    return read_manifest(path)


def test_a_good_version_has_no_findings(version: LoadedVersion, path: Path, manifest: Manifest) -> None:
    """What was exported keeps every promise."""
    assert warmup_findings(version, path, manifest) == (12, [])
    assert list(golden_findings(version, manifest)) == []


def test_unknown_signatures_and_inputs_are_named(version: LoadedVersion) -> None:
    """The error lists what there is."""
    with pytest.raises(ValidationError, match=r"no signature 'other'.*serve_text"):
        version.run("other", {})
    with pytest.raises(ValidationError, match=r"takes \['text'\], received \['txt'\]"):
        version.run("serve_text", {"txt": np.zeros(1, object)})


def test_a_folder_without_a_model_is_one_error(tmp_path: Path) -> None:
    """What TensorFlow says about a broken folder is one line."""
    with pytest.raises(ValidationError, match="TensorFlow cannot load it") as caught:
        LoadedVersion(tmp_path)
    assert "\n" not in str(caught.value)


def changed(manifest: Manifest, signature: str, output: str, array: np.ndarray) -> Manifest:
    golden = [{**vector, "outputs": {**vector["outputs"], output: encode(array)}} if vector["signature"] == signature
              else vector for vector in manifest.golden]
    return dataclasses.replace(manifest, golden=tuple(golden))


def test_other_numbers_are_found(version: LoadedVersion, manifest: Manifest) -> None:
    """A probability that differs by more than the tolerance is a finding with signature and size."""
    finding, = golden_findings(version, changed(manifest, "serving_default", "probabilities", np.float32([[0.9]] * 3)))
    assert finding.check == "golden vectors"
    assert finding.message.startswith("serving_default: probabilities: differs by up to")


def test_a_refused_request_is_found(version: LoadedVersion, manifest: Manifest) -> None:
    """A golden request that the graph refuses is one line."""
    vector = {**manifest.golden[0], "inputs": {"tokens": encode(np.zeros((1, 7), np.int32))}}
    finding, = golden_findings(version, dataclasses.replace(manifest, golden=(vector,)))
    assert finding.message.startswith("serving_default fails: ")
    assert "\n" not in finding.message


def test_bad_warmup_records_are_found(version: LoadedVersion, manifest: Manifest, tmp_path: Path) -> None:
    """A wrong shape, an unknown signature and too many records would each keep TensorFlow Serving from loading."""
    tokens = {"tokens": np.zeros((1, 9), np.int32)}
    write_warmup(tmp_path, "m", {"serving_default": "predict", "other": "predict"},
                 {"serving_default": tokens, "other": tokens}, (1,))
    count, findings = warmup_findings(version, tmp_path, manifest)
    assert count == len(findings) == 2
    assert "Record 1 (serving_default) fails" in findings[0].message
    assert "'other', which is not in the manifest" in findings[1].message


def test_more_than_a_thousand_records_are_found(version: LoadedVersion, manifest: Manifest, tmp_path: Path) -> None:
    """The server's limit is ours."""
    tokens = {"tokens": np.zeros((1, 6), np.int32)}
    write_warmup(tmp_path, "m", {"serving_default": "predict"}, {"serving_default": tokens}, [1] * 1001)
    count, findings = warmup_findings(version, tmp_path, manifest)
    assert count == 1001
    assert [finding.message for finding in findings] == [
        "There are 1001 records. TensorFlow Serving refuses more than 1000."]


def test_rows_that_depend_on_their_batch_are_found(tmp_path: Path, manifest: Manifest) -> None:
    """A model that subtracts the batch's mean answers otherwise alone; one that sums rows has a wrong empty answer."""
    spec = [tf.TensorSpec([None, 2], tf.float32, name="x")]
    function = tf.function(lambda x: {"y": x - tf.reduce_mean(x, axis=0), "z": tf.reduce_sum(x, axis=0, keepdims=True)},
                           input_signature=spec, autograph=False)
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures={"serving_default": function})
    rows = np.float32([[1, 2], [3, 5]])
    vector = {"signature": "serving_default", "certain": None, "inputs": {"x": encode(rows)},
              "outputs": {"y": encode(rows - rows.mean(axis=0)), "z": encode(rows.sum(axis=0, keepdims=True))}}
    with LoadedVersion(tmp_path) as loaded:
        forged = dataclasses.replace(manifest, golden=(vector,))
        messages = [str(finding) for finding in golden_findings(loaded, forged)]
    assert any("rows answer otherwise alone than in a batch of 2: y:" in message for message in messages)
    assert any("an empty batch answers z of shape [1, 2]" in message for message in messages)


@pytest.mark.parametrize(("change", "words"), [
    (lambda contract: dataclasses.replace(contract, method="classify"), "kind of call"),
    (lambda contract: dataclasses.replace(contract, inputs={}), "inputs are ['text'], promised are []"),
    (lambda contract: dataclasses.replace(contract, outputs={**contract.outputs, "labels": TensorContract(
        dtype="int32", shape=(None, 2))}), "output 'labels' is string [None, 2], promised is int32"),
], ids=["method", "inputs", "dtype"])
def test_broken_promises_are_found(path: Path, manifest: Manifest, change: Any, words: str) -> None:
    """Kind of call, names, dtypes and shapes in the file must be those in the manifest."""
    meta_graph = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs[0]
    assert list(contract_findings(meta_graph, manifest)) == []
    signatures = {**manifest.signatures, "serve_text": change(manifest.signatures["serve_text"])}
    finding, = contract_findings(meta_graph, dataclasses.replace(manifest, signatures=signatures))
    assert words in finding.message
    without = dataclasses.replace(manifest, signatures={"serving_default": manifest.signatures["serving_default"]})
    assert any("has the signatures" in finding.message for finding in contract_findings(meta_graph, without))
