"""Every format, against a NumPy reference of the same parameters; and what damaged ones get."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import zoo
from tests.zoo.text import numpy_transformer as reference
from tests.zoo.weights import foreign_checkpoints as foreign
from tests.zoo.weights.hub_encoder import write_hub_encoder
from zoo.building import HeadReinitializedWarning
from zoo.errors import WeightsError
from zoo.spec import WordPiecePreprocessing
from zoo.text.bert import bert
from zoo.weights.checkpoint import load_checkpoint, open_checkpoint
from zoo.weights.report import report_of

TOLERANCE = 1e-4
BERT, GPT2 = foreign.plain("bert"), foreign.plain("gpt2")
WIDE_GPT2 = foreign.widened(GPT2, 4 * foreign.WIDTH)
GPT2_SIZES: dict[str, Any] = {"layers": foreign.LAYERS, "hidden_size": foreign.WIDTH, "heads": foreign.HEADS}


def build(family: str, folder: Path, **options: Any) -> keras.Model:
    """The model of a folder; GPT-2's catalog has no sizes this small, so they are asked for."""
    return zoo.build(family, weights=str(folder), **((GPT2_SIZES if family == "gpt2" else {}) | options))


def hidden_states(family: str, folder: Path) -> np.ndarray[Any, Any]:
    model = build(family, folder, include_top=False)
    outputs = model(foreign.inputs(family), training=False)
    return np.asarray(outputs["sequence_output"] if family == "bert" else outputs)


def hugging_face(folder: Path, family: str = "bert", **options: Any) -> Path:
    """The plain case, for tests that change one thing."""
    tensors = foreign.hugging_face_bert(BERT) if family == "bert" else foreign.hugging_face_gpt2(GPT2)
    return foreign.write_hugging_face(folder, family, tensors, **options)


# === Hidden states ===


@pytest.mark.parametrize(("written", "options", "computed"), [
    pytest.param({}, {}, {}, id="bare"),
    pytest.param({"prefix": "bert."}, {}, {}, id="prefix"),
    pytest.param({"prefix": "bert.", "norm": ("gamma", "beta")}, {}, {}, id="old names of the norms"),
    pytest.param({}, {"parts": 3}, {}, id="three files"),
    pytest.param({}, {"hidden_act": "gelu_new"}, {"activation": reference.gelu_tanh}, id="tanh gelu"),
    pytest.param({}, {"hidden_act": "relu", "layer_norm_eps": 1e-3},
                 {"activation": lambda x: np.maximum(x, 0), "epsilon": 1e-3}, id="relu and epsilon"),
])
def test_hugging_face_bert(tmp_path: Path, written: dict[str, Any], options: dict[str, Any],
                           computed: dict[str, Any]) -> None:
    """Names with and without prefix, old and new, whole and in parts; activation and epsilon from the configuration."""
    folder = foreign.write_hugging_face(tmp_path / "b", "bert", foreign.hugging_face_bert(BERT, **written), **options)
    expected = foreign.states("bert", BERT, **computed)
    assert foreign.largest_difference(hidden_states("bert", folder), expected) < TOLERANCE


@pytest.mark.parametrize(("prefix", "options", "computed"), [
    ("", {}, {}), ("transformer.", {"parts": 2}, {}),
    ("", {"activation_function": "gelu", "layer_norm_epsilon": 1e-2},
     {"activation": reference.gelu, "epsilon": 1e-2})])
def test_hugging_face_gpt2(tmp_path: Path, prefix: str, options: dict[str, Any], computed: dict[str, Any]) -> None:
    """The kernels lie as they are, the inner width, activation and epsilon are those of the configuration."""
    tensors = foreign.hugging_face_gpt2(GPT2, prefix=prefix)
    masks = {f"{prefix}h.{i}.attn.bias": np.tril(np.ones((1, 1, 12, 12), bool)) for i in range(2)}
    tied = {"lm_head.weight": tensors[f"{prefix}wte.weight"].copy()}
    folder = foreign.write_hugging_face(tmp_path / "g", "gpt2", tensors | masks | tied, **options)
    expected = foreign.states("gpt2", GPT2, **computed)
    assert foreign.largest_difference(hidden_states("gpt2", folder), expected) < TOLERANCE


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_become_float32(tmp_path: Path, dtype: str) -> None:
    """Half-width checkpoints compute in float32 with exactly the values that they hold."""
    folder = foreign.write_hugging_face(tmp_path / "b", "bert", foreign.hugging_face_bert(BERT), dtype=dtype)
    rounded = foreign.Plain({name: tf.cast(tf.cast(value, dtype), "float32").numpy()
                             for name, value in BERT.values.items()})
    assert foreign.largest_difference(hidden_states("bert", folder), foreign.states("bert", rounded)) < TOLERANCE


def test_the_original_bert(tmp_path: Path) -> None:
    """bert_model.ckpt with its optimizer slots: tanh GELU, an uncased vocabulary, slots and NSP head explained."""
    folder = foreign.write_tf1_bert(tmp_path / "b", BERT)
    expected = foreign.states("bert", BERT, activation=reference.gelu_tanh)
    assert foreign.largest_difference(hidden_states("bert", folder), expected) < TOLERANCE
    model = build("bert", folder, include_top=False)
    reasons = report_of(model).reasons
    assert reasons["global_step"] == "state of the training"
    assert reasons["bert/embeddings/word_embeddings/adam_m"] == "state of the optimizer"
    assert "next sentence" in reasons["cls/seq_relationship/output_weights"]
    record = zoo.record_of(model)
    assert record.weights["format"] == "tf1_bert"
    assert record.preprocessing.vocabulary == tuple(foreign.WORDS)
    assert record.preprocessing.lowercase


def test_the_original_gpt2(tmp_path: Path) -> None:
    """model.ckpt with its leading axes of one, encoder.json and vocab.bpe."""
    folder = foreign.write_openai_gpt2(tmp_path / "g", WIDE_GPT2)
    assert foreign.largest_difference(hidden_states("gpt2", folder), foreign.states("gpt2", WIDE_GPT2)) < TOLERANCE
    record = zoo.record_of(build("gpt2", folder))
    assert record.task == "language_model"
    assert record.preprocessing.vocabulary == tuple(foreign.TOKENS)
    assert record.preprocessing.merges == ('! "', "# $")


def test_model_garden_object_checkpoints(tmp_path: Path) -> None:
    """BERT as tf.train.Checkpoint of Model Garden writes it, with layers by number and kernels by heads."""
    heads, size = foreign.HEADS, foreign.WIDTH // foreign.HEADS

    def node(**parts: Any) -> tf.train.Checkpoint:
        return tf.train.Checkpoint(**{name: tf.Variable(part) if isinstance(part, np.ndarray) else part
                                      for name, part in parts.items()})

    layers = {"layer_with_weights-0": node(embeddings=BERT["tokens"]),
              "layer_with_weights-1": node(embeddings=BERT["positions"]),
              "layer_with_weights-2": node(embeddings=BERT["segments"]),
              "layer_with_weights-3": node(gamma=BERT["norm.gamma"], beta=BERT["norm.beta"])}
    for i in range(foreign.LAYERS):
        products = {f"_{name}_dense": node(kernel=BERT[f"{i}.{name}.kernel"].reshape(-1, heads, size),
                                           bias=BERT[f"{i}.{name}.bias"].reshape(heads, size))
                    for name in ("query", "key", "value")}
        products["_output_dense"] = node(kernel=BERT[f"{i}.attended.kernel"].reshape(heads, size, -1),
                                         bias=BERT[f"{i}.attended.bias"])
        parts = {"_attention_layer": node(**products)}
        for theirs, ours, names in (("_attention_layer_norm", "norm1", ("gamma", "beta")),
                                    ("_intermediate_dense", "inner", ("kernel", "bias")),
                                    ("_output_dense", "outer", ("kernel", "bias")),
                                    ("_output_layer_norm", "norm2", ("gamma", "beta"))):
            parts[theirs] = node(**{name: BERT[f"{i}.{ours}.{name}"] for name in names})
        layers[f"layer_with_weights-{i + 4}"] = node(**parts)
    checkpoint = node(encoder=node(**layers))
    folder = tmp_path / "b"
    folder.mkdir()
    checkpoint.write(str(folder / "bert_model.ckpt"))
    foreign.write_json(folder / "bert_config.json", foreign.BERT_CONFIG)
    (folder / "vocab.txt").write_text("\n".join(foreign.WORDS) + "\n")
    expected = foreign.states("bert", BERT, activation=reference.gelu_tanh)
    assert foreign.largest_difference(hidden_states("bert", folder), expected) < TOLERANCE


# === Nothing is dropped, nothing is half-assigned ===


def test_constants_of_the_pytorch_code_are_explained(tmp_path: Path) -> None:
    """position_ids is no error, and the report says what it is."""
    tensors = foreign.hugging_face_bert(BERT) | {"embeddings.position_ids": np.arange(12, dtype="int64")[None]}
    folder = foreign.write_hugging_face(tmp_path / "b", "bert", tensors)
    text = report_of(build("bert", folder, task="embedding", pooling="cls")).to_text()
    assert re.search(r"^assigned +29$", text, re.MULTILINE)
    assert "embeddings.position_ids: a constant of the PyTorch code, no parameter" in text
    assert "pooler.dense.bias and 1 more: belongs to the checkpoint's pooler part" in text


def test_a_tensor_that_nothing_explains_is_an_error(tmp_path: Path) -> None:
    """Its name and shape are in the message, and the model keeps its parameters."""
    tensors = foreign.hugging_face_bert(BERT) | {"adapter.weight": np.zeros((2, 3), "float32")}
    folder = foreign.write_hugging_face(tmp_path / "b", "bert", tensors)
    with pytest.raises(WeightsError, match=r"nothing was loaded. 1 in the checkpoint that nothing explains: "
                                           r"adapter.weight \[2, 3\]"):
        build("bert", folder)


@pytest.mark.parametrize(("change", "message"), [
    (lambda t: t.pop("encoder.layer.1.output.dense.bias"), r"1 missing in the checkpoint: block_1/output/bias \[24\]"),
    (lambda t: t.pop("encoder.layer.0.attention.self.key.weight"),
     r"has 2 of the 3 tensors that make up block_0/attention/qkv/kernel"),
    (lambda t: t.update({"embeddings.LayerNorm.weight": np.ones(23, "float32")}),
     r"embedding_norm/gamma expected \[24\], found \[23\]"),
    (lambda t: t.update({"encoder.layer.0.output.dense.weight": np.ones((24,), "float32")}),
     r"encoder.layer.0.output.dense.weight of the checkpoint has the shape \[24\], expected 2 axes"),
    (lambda t: t.update({"encoder.layer.0.attention.self.key.weight": np.ones((24, 23), "float32")}),
     r"that make up block_0/attention/qkv/kernel differ in shape"),
    (lambda t: t.update({"bert.embeddings.LayerNorm.weight": np.ones(24, "float32")}),
     "Two tensors of the checkpoint are for the same place"),
])
def test_wrong_tensors_change_nothing(tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    """A missing, misshapen or doubled tensor is named, and not one variable has changed."""
    tensors = foreign.hugging_face_bert(BERT)
    change(tensors)
    folder = foreign.write_hugging_face(tmp_path / "b", "bert", tensors)
    model = bert(**open_checkpoint(hugging_face(tmp_path / "right")).arguments)
    before = {variable.path: variable.numpy() for variable in model.weights}
    with pytest.raises(WeightsError, match=message):
        load_checkpoint(model, open_checkpoint(folder))
    assert all(np.array_equal(variable.numpy(), before[variable.path]) for variable in model.weights)


def test_an_untied_projection_is_refused(tmp_path: Path) -> None:
    """Our language models score through the table of tokens, so a projection of its own would be lost."""
    tensors = foreign.hugging_face_gpt2(GPT2) | {"lm_head.weight": GPT2["tokens"] + 1}
    folder = foreign.write_hugging_face(tmp_path / "g", "gpt2", tensors)
    with pytest.raises(WeightsError, match=r"lm_head.weight of the checkpoint is not the same as wte.weight"):
        build("gpt2", folder)
    report = report_of(build("gpt2", folder, include_top=False))
    assert report.reasons["lm_head.weight"] == "scores words, which this model does not do"


# === Damaged and foreign folders: one clear line each ===


def without(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).unlink()


def cut_short(name: str, keep: float = 0.5) -> Callable[[Path], Any]:
    def cut(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:int(len(content) * keep)])
    return cut


def renamed(name: str, new: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).rename(folder / new)


@pytest.mark.parametrize(("options", "damage", "message"), [
    ({}, cut_short("model.safetensors"), "cannot be read as a safetensors file: .* It may be cut short"),
    ({}, cut_short("model.safetensors", 0.0), "cannot be read as a safetensors file"),
    ({}, without("model.safetensors"), "model.safetensors .* is missing. It may be half-downloaded"),
    ({"parts": 3}, without("model-00002-of-00003.safetensors"),
     "lacks 1 of the 3 files with parameters: model-00002-of-00003.safetensors. It may be half-downloaded"),
    ({"parts": 2}, cut_short("model.safetensors.index.json"), "is no JSON"),
    ({"parts": 2}, lambda folder: foreign.write_json(folder / "model.safetensors.index.json",
                                                     {"weight_map": {"a": "../secret.safetensors"}}),
     "of its own folder"),
    ({}, without("vocab.txt"), "has no vocabulary: vocab.txt or tokenizer.json is expected"),
    ({}, lambda folder: (folder / "vocab.txt").write_text("\n".join(f"w{n}" for n in range(99))),
     r"has 99 tokens, and the model's table has 40 rows"),
    ({}, lambda folder: (folder / "vocab.txt").write_text("a\nb\n"), "lacks the unknown token"),
    ({}, renamed("model.safetensors", "pytorch_model.bin"), "Pickled files are never opened"),
    ({}, cut_short("config.json"), "config.json is no JSON: .* get it again"),
    ({}, lambda folder: (folder / "config.json").write_text("[]"), "must hold a JSON object, and holds a list"),
    ({"model_type": "roberta", "architectures": ["RobertaModel"]}, lambda folder: None,
     r"a model of the type 'roberta' \(RobertaModel\). Checkpoints of the types 'bert' and 'gpt2' can be loaded"),
    ({"model_type": "distilbert", "architectures": None}, lambda folder: None, "a model of the type 'distilbert'. "),
    ({"hidden_act": "quick_gelu"}, lambda folder: None, "hidden_act='quick_gelu'; known are gelu"),
    ({"position_embedding_type": "relative_key"}, lambda folder: None, "position_embedding_type='relative_key'"),
    ({"num_hidden_layers": None}, lambda folder: None, "must have 'num_hidden_layers' as a whole number"),
    ({"hidden_size": "24"}, lambda folder: None, "must have 'hidden_size' as a whole number"),
    ({}, lambda folder: [path.unlink() for path in folder.iterdir()], "holds no checkpoint of BERT or GPT-2"),
])
def test_damaged_hugging_face_folders(tmp_path: Path, options: dict[str, Any], damage: Callable[[Path], Any],
                                      message: str) -> None:
    """Each is one line that says what is wrong and what to do."""
    folder = hugging_face(tmp_path / "b", **options)
    damage(folder)
    with pytest.raises(WeightsError, match=message) as raised:
        build("bert", folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("damage", "message"), [
    (without("bert_model.ckpt.data-00000-of-00001"), "without its data .* half-downloaded"),
    (without("bert_model.ckpt.index"), "without a TensorFlow checkpoint"),
    (cut_short("bert_model.ckpt.data-00000-of-00001"), "cannot be read from .* damaged"),
    (cut_short("bert_model.ckpt.index"), "cannot be read as a TensorFlow checkpoint"),
    (without("vocab.txt"), "vocab.txt is expected beside the checkpoint"),
    (lambda folder: foreign.save_by_name(folder / "other.ckpt", {"a": np.zeros(2)}), "has several checkpoints"),
    (lambda folder: foreign.write_json(folder / "bert_config.json", foreign.BERT_CONFIG | {"num_hidden_layers": 3}),
     "missing in the checkpoint: block_2/"),
])
def test_damaged_original_checkpoints(tmp_path: Path, damage: Callable[[Path], Any], message: str) -> None:
    """Half of one, one cut short, or one that does not fit its configuration."""
    folder = foreign.write_tf1_bert(tmp_path / "b", BERT, slots=False)
    damage(folder)
    with pytest.raises(WeightsError, match=message):
        build("bert", folder)


def test_a_missing_vocabulary_may_be_given(tmp_path: Path) -> None:
    """Who brings a preprocessing does not need the checkpoint's."""
    folder = hugging_face(tmp_path / "b", vocabulary=False)
    own = WordPiecePreprocessing(max_length=9, vocabulary=tuple(foreign.WORDS))
    record = zoo.record_of(build("bert", folder, preprocessing=own, include_top=False))
    assert record.preprocessing == own
    assert record.arguments["max_positions"] == foreign.POSITIONS


def test_another_familys_checkpoint_is_refused(tmp_path: Path) -> None:
    """A GPT-2 is no BERT, and the message says what to build."""
    folder = hugging_face(tmp_path / "g", "gpt2")
    with pytest.raises(WeightsError, match=r"file:g is a GPT-2, and bert is a BERT. Build it as 'gpt2'"):
        zoo.build("bert", weights=str(folder))
    with pytest.raises(WeightsError, match=r"is a BERT, and gpt2 is a GPT-2"):
        zoo.build("gpt2", weights=str(hugging_face(tmp_path / "b")))


def test_the_record_says_where_everything_came_from(tmp_path: Path) -> None:
    """Source, format, sha256 of every file and the report; nothing of the machine's folders; kept by save and load."""
    folder = hugging_face(tmp_path / "b")
    with pytest.warns(HeadReinitializedWarning, match=r"leave the head out \(the checkpoint has none for this task\)"):
        model = build("bert", folder)
    found = zoo.record_of(model).weights
    assert (found["source"], found["mapping"]) == ("file:b", "hugging_face/bert/1")
    assert set(found["files"]) == {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"}
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in found["files"].values())
    assert str(tmp_path) not in str(found)
    zoo.save(model, tmp_path / "saved")
    again = zoo.load(tmp_path / "saved")
    assert report_of(again) == report_of(model)
    example = foreign.inputs("bert")
    np.testing.assert_array_equal(np.asarray(again(example)), np.asarray(model(example)))


def test_a_single_weights_file_beside_its_configuration(tmp_path: Path) -> None:
    """Naming model.safetensors means its folder."""
    folder = hugging_face(tmp_path / "b")
    model = zoo.build("bert", weights=str(folder / "model.safetensors"), include_top=False)
    assert zoo.record_of(model).weights["format"] == "hugging_face"


# === TF Hub ===


@pytest.mark.parametrize(("exact", "activation"), [(False, reference.gelu_tanh), (True, reference.gelu)])
def test_tf_hub_encoders(tmp_path: Path, exact: bool, activation: Any) -> None:
    """Sizes from the variables, activation from the graph, vocabulary and case from the module; verified by running."""
    folder = write_hub_encoder(tmp_path / "hub", BERT, exact_gelu=exact, lowercase=not exact)
    model = build("bert", folder, include_top=False)
    outputs = model(foreign.inputs("bert"))
    assert foreign.largest_difference(outputs["sequence_output"],
                                      foreign.states("bert", BERT, activation=activation, epsilon=1e-3)) < TOLERANCE
    found = report_of(model).verification
    assert found is not None
    assert found.largest_difference < 1e-5
    assert "against the SavedModel, run on random tokens" in report_of(model).to_text()
    preprocessing = zoo.record_of(model).preprocessing
    assert preprocessing.vocabulary == tuple(foreign.WORDS)
    assert preprocessing.lowercase is not exact


def test_an_archive_of_tf_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .tar.gz as TF Hub sends it, by its path: unpacked in the cache, verified, named in the record."""
    folder = write_hub_encoder(tmp_path / "hub", BERT)
    with tarfile.open(tmp_path / "encoder.tar.gz", "w:gz") as archive:
        for path in folder.iterdir():
            archive.add(path, arcname=path.name)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    model = build("bert", tmp_path / "encoder.tar.gz", include_top=False)
    assert report_of(model).verification is not None
    found = zoo.record_of(model).weights
    assert found["source"] == "file:encoder.tar.gz"
    assert {"saved_model.pb", "assets/vocab.txt"} <= set(found["files"])


def test_a_module_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    """The names fit, but the hidden states do not: nothing is loaded."""
    folder = write_hub_encoder(tmp_path / "hub", BERT, wrong=True)
    checkpoint = open_checkpoint(folder)
    model = bert(**checkpoint.arguments)
    before = {variable.path: variable.numpy() for variable in model.weights}
    with pytest.raises(WeightsError, match="does not compute what its source computes: the hidden states differ by up"):
        load_checkpoint(model, checkpoint)
    assert all(np.array_equal(variable.numpy(), before[variable.path]) for variable in model.weights)
    load_checkpoint(model, checkpoint, verify=False)


def test_other_saved_models_are_refused(tmp_path: Path) -> None:
    """A SavedModel without the variables of an encoder points to the layer for such modules."""
    module = tf.Module()
    module.table = tf.Variable([1.0], name="table")
    tf.saved_model.save(module, str(tmp_path / "hub"))
    with pytest.raises(WeightsError, match=r"no BERT encoder of TF Hub: its variables are table .*HubLayer"):
        build("bert", tmp_path / "hub")


def test_half_a_saved_model_is_refused(tmp_path: Path) -> None:
    """A module whose data file is missing is told before TensorFlow reads it."""
    folder = write_hub_encoder(tmp_path / "hub", BERT)
    (folder / "variables" / "variables.data-00000-of-00001").unlink()
    with pytest.raises(WeightsError, match=r"not whole: .*variables.data"):
        build("bert", folder)


def test_a_vocabulary_outside_its_module_is_refused(tmp_path: Path) -> None:
    """A module could name any file of the machine as its vocabulary."""
    folder = write_hub_encoder(tmp_path / "hub", BERT)
    message = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    message.meta_graphs[0].asset_file_def[0].filename = "../../vocab.txt"
    (folder / "saved_model.pb").write_bytes(message.SerializeToString())
    with pytest.raises(WeightsError, match="names a vocabulary outside its own folder, which is refused"):
        build("bert", folder)


def test_a_module_without_vocabulary(tmp_path: Path) -> None:
    """It needs a preprocessing from the caller."""
    folder = write_hub_encoder(tmp_path / "hub", BERT, vocabulary=False)
    with pytest.raises(WeightsError, match="has no vocabulary"):
        build("bert", folder, include_top=False)
