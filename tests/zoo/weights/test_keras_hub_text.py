"""keras-hub presets of BERT and GPT-2, written by keras-hub itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import zoo
from tests.zoo.weights import foreign_checkpoints as foreign
from tests.zoo.weights.small_models import randomised
from zoo.building import HeadReinitializedWarning
from zoo.errors import WeightsError
from zoo.spec import TensorPreprocessing
from zoo.weights.report import report_of

keras_hub = pytest.importorskip("keras_hub", reason="keras-hub is the extra `hub`")
# Keras 3.15 turns its variables into arrays in a way that NumPy 2 deprecates; here it writes the presets.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SIZES: dict[str, Any] = {"vocabulary_size": foreign.SIZE, "num_layers": 2, "num_heads": 3, "hidden_dim": 24,
                         "intermediate_dim": 50, "max_sequence_length": 12, "dropout": 0.2}


@pytest.fixture(scope="module")
def bert_task() -> keras.Model:
    backbone = keras_hub.models.BertBackbone(**SIZES, num_segments=2)
    tokenizer = keras_hub.tokenizers.BertTokenizer(foreign.WORDS, lowercase=True)
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=8)
    return randomised(keras_hub.models.BertTextClassifier(backbone, num_classes=3, preprocessor=preprocessor))


@pytest.fixture(scope="module")
def bert_preset(bert_task: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preset") / "bert"
    bert_task.save_to_preset(str(folder))
    return folder


def test_bert(bert_task: keras.Model, bert_preset: Path) -> None:
    """The hidden states and the pooled vector of keras-hub's own model, with its vocabulary."""
    model = zoo.build("bert", weights=str(bert_preset), include_top=False)
    inputs = foreign.inputs("bert")
    expected = bert_task.backbone(inputs)
    found = model(inputs)
    real = inputs["padding_mask"].astype(bool)
    assert np.abs(np.asarray(found["sequence_output"]) - np.asarray(expected["sequence_output"]))[real].max() < 1e-4
    assert np.abs(np.asarray(found["pooled_output"]) - np.asarray(expected["pooled_output"])).max() < 1e-4
    record = zoo.record_of(model)
    assert record.weights["format"] == "keras_hub"
    assert record.preprocessing.vocabulary == tuple(foreign.WORDS)
    assert record.preprocessing.lowercase
    assert record.arguments["dropout"] == 0.2
    assert not report_of(model).missing


def test_a_classifiers_head_comes_along(bert_task: keras.Model, bert_preset: Path) -> None:
    """task.weights.h5 holds the head, and its number of classes decides that of the model."""
    model = zoo.build("bert", weights=f"file:{bert_preset}", classifier_activation="linear")
    inputs = foreign.inputs("bert")
    assert zoo.record_of(model).task == "classification"
    np.testing.assert_allclose(np.asarray(model(inputs)), np.asarray(bert_task(inputs)), atol=1e-4)
    with pytest.warns(HeadReinitializedWarning, match="the checkpoint's has 3 outputs"):
        zoo.build("bert", weights=str(bert_preset), num_classes=2)


def test_gpt2(tmp_path: Path) -> None:
    """A backbone that was saved without a tokenizer: the caller gives the preprocessing."""
    backbone = randomised(keras_hub.models.GPT2Backbone(**SIZES))
    backbone.save_to_preset(str(tmp_path / "gpt2"))
    sizes: dict[str, Any] = {"layers": 2, "hidden_size": 24, "heads": 3, "include_top": False}
    with pytest.raises(WeightsError, match=r"vocabulary.json cannot be read"):
        zoo.build("gpt2", weights=str(tmp_path / "gpt2"), **sizes)
    own = TensorPreprocessing()
    model = zoo.build("gpt2", weights=str(tmp_path / "gpt2"), preprocessing=own, **sizes)
    inputs = foreign.inputs("gpt2")
    real = inputs["padding_mask"].astype(bool)
    assert np.abs(np.asarray(model(inputs)) - np.asarray(backbone(inputs)))[real].max() < 1e-4


def test_damaged_presets(bert_preset: Path, tmp_path: Path) -> None:
    """Half of a preset, or one whose file stops in the middle."""
    (tmp_path / "config.json").write_bytes((bert_preset / "config.json").read_bytes())
    with pytest.raises(WeightsError, match=r"it has no model.weights.h5"):
        zoo.build("bert", weights=str(tmp_path))
    content = (bert_preset / "model.weights.h5").read_bytes()
    (tmp_path / "model.weights.h5").write_bytes(content[:len(content) // 2])
    with pytest.raises(WeightsError, match=r"cannot be read as an HDF5 file"):
        zoo.build("bert", weights=str(tmp_path))
    foreign.write_json(tmp_path / "config.json", {"class_name": "RobertaBackbone", "config": {}})
    with pytest.raises(WeightsError, match=r"is the preset of a RobertaBackbone; those of BertBackbone and GPT2Backb"):
        zoo.build("bert", weights=str(tmp_path))
