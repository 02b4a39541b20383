"""What TensorFlow Serving cannot run is found in the file, with the node and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from serving.export import export_model
from serving.export.graph_checks import Graph, graph_findings
from serving.export.op_lists import known_ops, releases
from serving.export.validation import Finding
from tests.serving.export.small_models import image_classifier, sequence_pair, text_classifier


def graph_of(path: Path) -> Graph:
    return Graph(saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs[0])


def findings(graph: Graph, target: str = "2.20") -> list[Finding]:
    return list(graph_findings(graph, known_ops(target), target))


def saved(path: Path, body: Callable[..., Any], **tracked: Any) -> Graph:
    """A SavedModel whose only signature runs `body` on float32 [N]."""
    module = tf.Module()
    for name, value in tracked.items():
        setattr(module, name, value)
    function = tf.function(lambda x: {"y": body(x)}, input_signature=[tf.TensorSpec([None], tf.float32, name="x")],
                           autograph=False)
    tf.saved_model.save(module, str(path), signatures={"serving_default": function})
    return graph_of(path)


@pytest.mark.parametrize("make", [image_classifier, text_classifier, sequence_pair], ids=lambda make: make.__name__)
def test_our_exports_are_clean(tmp_path: Path, make: Any) -> None:
    """Pictures, texts and sequences use only operations of every listed release."""
    graph = graph_of(export_model(make(), tmp_path, validate=False, warmup=False).path)
    assert [finding for target in releases() for finding in findings(graph, target)] == []


def test_unknown_operations_are_named(tmp_path: Path) -> None:
    """An operation, or an attribute of one, that the release does not have is reported with its node."""
    graph = saved(tmp_path, lambda x: tf.nn.relu(x))
    known = known_ops("2.20")
    del known["Relu"]
    finding, = graph_findings(graph, known, "2.20")
    assert "does not know the operation 'Relu'" in finding.message
    graph.functions[next(iter(graph.functions))].node_def[0].attr["brand_new"].b = True
    assert any("the attribute 'brand_new'" in finding.message for finding in findings(graph))


def test_python_functions_are_refused(tmp_path: Path) -> None:
    """A py_function lives in the process that made it."""
    graph = saved(tmp_path, lambda x: tf.ensure_shape(tf.py_function(lambda value: value, [x], tf.float32), [None]))
    assert [finding.check for finding in findings(graph)] == ["python"]


def test_compiled_functions_are_refused(tmp_path: Path) -> None:
    """jit_compile=True fails at the first request of a server without XLA."""
    graph = saved(tmp_path, tf.function(lambda x: x + 1.0, jit_compile=True))
    assert [finding.check for finding in findings(graph)] == ["xla"]


@pytest.mark.parametrize("body", [
    lambda x: x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32),
    lambda x: x + tf.cast(tf.size(tf.io.matching_files("/*")), tf.float32),
    lambda x: (tf.raw_ops.PrintV2(input=tf.strings.format("{}", x)), x)[1],
], ids=["read", "list", "print"])
def test_files_are_out_of_reach(tmp_path: Path, body: Callable[..., Any]) -> None:
    """Reading, listing and printing are refused wherever they stand."""
    assert {finding.check for finding in findings(saved(tmp_path, body))} == {"files"}


def test_a_checkpoint_in_a_signature_is_refused(tmp_path: Path) -> None:
    """The checkpoint's own operations may stand in the file, but no request may run them."""
    graph = saved(tmp_path, lambda x: x + tf.raw_ops.RestoreV2(prefix="p", tensor_names=["a"], shape_and_slices=[""],
                                                               dtypes=[tf.float32])[0])
    messages = [finding.message for finding in findings(graph)]
    assert messages == ["The signature 'serving_default' reaches 'RestoreV2', which reads or writes checkpoints."]


def test_tables_that_change_are_refused(tmp_path: Path) -> None:
    """A mutable table starts empty in a server and grows with its requests."""
    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, 0.0)
    graph = saved(tmp_path, lambda x: x + table.lookup(tf.constant("a")), table=table)
    assert {finding.check for finding in findings(graph)} == {"tables"}


def test_static_tables_are_fine_until_nothing_fills_them(tmp_path: Path) -> None:
    """A tracked table is filled at loading; without the init operation it is reported."""
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1.0]), 0.0)
    graph = saved(tmp_path, lambda x: x + table.lookup(tf.constant("a")), table=table)
    assert findings(graph) == []
    del graph.meta_graph.signature_def["__saved_model_init_op"]
    finding, = findings(graph)
    assert finding.check == "tables"
    assert "not filled when the model is loaded" in finding.message


def test_vocabulary_files_must_be_assets(tmp_path: Path) -> None:
    """A table read from a file is fine as an asset, and refused when the asset is not part of the model."""
    (tmp_path / "words.txt").write_text("a\nb\n")
    index = tf.lookup.TextFileIndex
    initializer = tf.lookup.TextFileInitializer(str(tmp_path / "words.txt"), tf.string, index.WHOLE_LINE, tf.int64,
                                                index.LINE_NUMBER)
    table = tf.lookup.StaticHashTable(initializer, -1)
    graph = saved(tmp_path / "m", lambda x: x + tf.cast(table.lookup(tf.constant("a")), tf.float32), table=table)
    assert findings(graph) == []
    del graph.meta_graph.asset_file_def[:]
    finding, = findings(graph)
    assert "Track the vocabulary as tf.saved_model.Asset" in finding.message
