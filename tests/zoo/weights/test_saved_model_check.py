from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.zoo import hub_modules
from zoo.errors import WeightsError
from zoo.weights.saved_model import load_saved_model
from zoo.weights.saved_model_check import check_graph

TEXTS = tf.TensorSpec([None], tf.string)


def saved(folder: Path, body: Callable[[Any], Any]) -> Path:
    module = tf.Module()
    module.serve = tf.function(body, input_signature=[TEXTS], autograph=False)
    tf.saved_model.save(module, str(folder))
    return folder


def write_file(texts: Any) -> Any:
    tf.io.write_file("/tmp/written", texts[0])
    return texts


def inside_a_loop(texts: Any) -> Any:
    return tf.map_fn(tf.io.read_file, texts)


def python(texts: Any) -> Any:
    return tf.py_function(lambda x: x, [texts], tf.string)


def save_checkpoint(texts: Any) -> Any:
    tf.raw_ops.SaveV2(prefix="/tmp/x", tensor_names=["a"], shape_and_slices=[""], tensors=[texts])
    return texts


def print_to_file(texts: Any) -> Any:
    tf.print(texts, output_stream="file:///tmp/printed")
    return texts


def read_lines(texts: Any) -> Any:
    return tf.data.TextLineDataset(texts).reduce(tf.constant(""), lambda state, line: state + line)


@pytest.mark.parametrize(("body", "operation"), [
    (write_file, "WriteFile"), (inside_a_loop, "ReadFile"), (python, "EagerPyFunc"), (save_checkpoint, "SaveV2"),
    (print_to_file, "PrintV2"), (read_lines, "TextLineDataset"),
    (lambda texts: tf.io.matching_files(texts), "MatchingFiles"),
    (lambda texts: tf.raw_ops.ImmutableConst(dtype=tf.uint8, shape=[1], memory_region_name="/etc/passwd"),
     "ImmutableConst"),
])
def test_operations_that_reach_beyond_tensors_are_refused(tmp_path: Path, body: Callable[[Any], Any],
                                                          operation: str) -> None:
    """Wherever it stands, in a loop or in a function, it is found before anything is loaded."""
    with pytest.raises(WeightsError, match=f"is refused: its graph has .*{operation}.* can reach files") as caught:
        load_saved_model(saved(tmp_path / "m", body))
    assert "\n" not in str(caught.value)


def test_modules_as_they_are_pass(tmp_path: Path) -> None:
    """Vocabularies, saving and restoring belong to every SavedModel; printing to the console does no harm."""
    operations = check_graph(hub_modules.save_text(tmp_path / "text"))
    assert {"InitializeTableFromTextFileV2", "SaveV2", "RestoreV2"} <= operations

    def shown(texts: Any) -> Any:
        tf.print(texts)
        return texts

    load_saved_model(saved(tmp_path / "shown", shown))


def test_a_text_graph_is_checked_too(tmp_path: Path) -> None:
    """The graph in the text format is no way around."""
    folder = saved(tmp_path / "m", write_file)
    binary = folder / "saved_model.pb"
    (folder / "saved_model.pbtxt").write_text(str(saved_model_pb2.SavedModel.FromString(binary.read_bytes())))
    binary.unlink()
    with pytest.raises(WeightsError, match="its graph has WriteFile"):
        check_graph(folder)


def test_a_hidden_saver_is_found(tmp_path: Path) -> None:
    """A function that saves is let through as long as no call reaches it; a call that is slipped in is seen."""
    folder = hub_modules.save_text(tmp_path / "text")
    message = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = message.meta_graphs[0]
    saver = next(function.signature.name for function in graph.graph_def.library.function
                 if "traced_save" in function.signature.name)
    call = next(function for function in graph.graph_def.library.function if "__call__" in function.signature.name)
    call.node_def.add(name="evil", op="PartitionedCall").attr["f"].func.name = saver
    (folder / "saved_model.pb").write_bytes(message.SerializeToString())
    with pytest.raises(WeightsError, match=r"its graph has .*SaveV2"):
        check_graph(folder)


@pytest.mark.parametrize("content", [b"\xff\xff\xff", b""])
def test_a_broken_graph_is_told(tmp_path: Path, content: bytes) -> None:
    """A file that is no graph, or an empty one."""
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(WeightsError, match=r"cannot be read|holds no graph"):
        check_graph(tmp_path)
