from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.zoo import hub_modules
from zoo.errors import WeightsError
from zoo.weights.saved_model import load_saved_model


def test_it_loads(tmp_path: Path) -> None:
    """What comes is what TensorFlow loads, from inside a graph too."""
    folder = hub_modules.save_text(tmp_path / "text")
    assert load_saved_model(folder)(tf.constant(["good"])).shape == (1, 8)
    loaded = []

    def body() -> tf.Tensor:
        loaded.append(load_saved_model(folder))
        return tf.constant(0)

    tf.function(body, autograph=False)()
    assert loaded[0](tf.constant(["good"])).shape == (1, 8)


def test_half_a_model_is_told_before_it_is_loaded(tmp_path: Path) -> None:
    """The file that is missing is named."""
    folder = hub_modules.save_text(tmp_path / "text")
    (folder / "variables" / "variables.index").unlink()
    with pytest.raises(WeightsError, match=r"no whole SavedModel: variables/variables\.index is missing"):
        load_saved_model(folder)


def test_damaged_parameters_are_told(tmp_path: Path) -> None:
    """A file of parameters that was cut short is one line, not TensorFlow's."""
    folder = hub_modules.save_text(tmp_path / "text")
    data = folder / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:40])
    with pytest.raises(WeightsError, match="cannot be loaded as a SavedModel: ") as caught:
        load_saved_model(folder)
    assert "\n" not in str(caught.value)


def test_unknown_operations_are_named(tmp_path: Path) -> None:
    """A graph with operations of a package that is not here says which."""
    folder = hub_modules.save_text(tmp_path / "text")
    message = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    message.meta_graphs[0].graph_def.node.add(name="x", op="SomebodysOwnOp")
    (folder / "saved_model.pb").write_bytes(message.SerializeToString())
    with pytest.raises(WeightsError, match="neither TensorFlow nor TensorFlow Text has: SomebodysOwnOp"):
        load_saved_model(folder)
