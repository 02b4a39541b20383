"""The forward pass is traced once, in inference mode, for every kind of model, and tracks nothing but weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from serving.errors import ExportError
from serving.export import export_model
from serving.export.fit_checks import check_fit
from serving.export.replay import LoadedVersion
from serving.export.samples import strings
from serving.export.servable_module import ServableModule, resources_of, trace_forward
from tests.end_to_end.text_models import PIECES, bert
from tests.serving.export.small_models import (
    feature_extractor,
    image_classifier,
    sequence_pair,
    table_regressor,
    tensor_classifier,
    text_classifier,
    with_record,
)
from zoo.preprocessing.transform import transform_for
from zoo.spec import (
    ImagePreprocessing,
    StringPreprocessing,
    TensorPreprocessing,
    WordPiecePreprocessing,
    record_of,
)

layers = keras.layers


def recurrent() -> Any:
    """A plain RNN, a GRU and an LSTM above each other over sequences of any length."""
    sequence = keras.Input((None, 3), name="sequence")
    x = layers.SimpleRNN(4, return_sequences=True, name="simple")(sequence)
    x = layers.GRU(4, return_sequences=True, name="gru")(x)
    x = layers.LSTM(4, name="lstm")(x)
    return with_record(keras.Model(sequence, layers.Dense(2, name="predictions")(x), name="recurrent"), "regression",
                       TensorPreprocessing(), "sequence")


def grouped() -> Any:
    """A grouped convolution, for which Keras asks XLA."""
    image = keras.Input((6, 6, 4), name="image")
    x = layers.Conv2D(8, 3, groups=4, name="grouped")(image)
    x = layers.LayerNormalization(name="norm")(layers.GlobalAveragePooling2D(name="pool")(x))
    return with_record(keras.Model(image, x, name="grouped"), "features", TensorPreprocessing())


def sampled() -> Any:
    """Layers with random seeds, which are variables that inference does not read."""
    features = keras.Input((3,), name="features")
    x = layers.GaussianNoise(1.0, seed=1, name="noise")(layers.Dropout(0.9, seed=2, name="drop")(features))
    return with_record(keras.Model(features, layers.Dense(2, name="predictions")(x), name="sampled"), "regression",
                       TensorPreprocessing())


def sequential() -> Any:
    """A Sequential model, whose input has a made-up name."""
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="predictions")], name="sequential")
    return with_record(model, "regression", TensorPreprocessing())


MODELS: list[Callable[[], Any]] = [recurrent, grouped, sampled, sequential, image_classifier, text_classifier,
                                   table_regressor, sequence_pair, tensor_classifier, feature_extractor]


def sample(spec: Any, rows: int) -> np.ndarray:
    shape = [rows, *(size or 5 for size in spec.shape[1:])]
    values = np.random.default_rng(3).integers(0, 6, shape)
    return np.asarray(values, spec.dtype.as_numpy_dtype)


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_forward_equals_the_keras_model(make: Callable[[], Any]) -> None:
    """The traced function gives what the model gives in inference mode, for two rows and for none."""
    model = make()
    forward = trace_forward(model, record_of(model))
    tensors = {name: sample(spec, 2) for name, spec in forward.inputs.items()}
    single = len(tensors) == 1
    expected = model(next(iter(tensors.values())) if single else tensors, training=False)
    answers = forward.call(*map(tf.constant, tensors.values()))
    flat = dict(zip(forward.outputs, tf.nest.flatten(expected), strict=True))
    for name, answer in answers.items():
        assert answer.dtype == tf.float32
        np.testing.assert_allclose(answer, flat[name], rtol=1e-5, atol=1e-6)
    empty = forward.call(*(tf.constant(tensor[:0]) for tensor in tensors.values()))
    assert {name: tuple(value.shape) for name, value in empty.items()} == {
        name: (0, *value.shape[1:]) for name, value in answers.items()}


def test_only_what_inference_reads_is_stored() -> None:
    """Seeds of dropout and noise are no weights of the export; the model itself is not tracked."""
    model = sampled()
    forward = trace_forward(model, record_of(model))
    assert len(model.variables) == 4
    assert len(forward.variables) == 2
    module = ServableModule(forward, transform_for(record_of(model).preprocessing))
    assert {id(variable) for variable in module.variables} == {id(variable) for variable in forward.variables}


def test_inference_mode() -> None:
    """Dropout is off and batch normalisation uses its moving averages: the same answer every time, unlike training."""
    model = image_classifier()
    forward = trace_forward(model, record_of(model))
    pixels = tf.constant(np.random.default_rng(1).normal(size=(4, 12, 10, 3)).astype(np.float32))
    first, second = forward.call(pixels)["probabilities"], forward.call(pixels)["probabilities"]
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - model(pixels, training=True)).max() > 1e-3


def functions_named(path: Path, word: str) -> list[Any]:
    saved_model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    return [function for function in saved_model.meta_graphs[0].graph_def.library.function
            if word in function.signature.name]


def test_the_forward_pass_is_stored_once(tmp_path: Path) -> None:
    """Three signatures, one body: the convolution stands once in the whole file."""
    model = image_classifier()
    path = export_model(model, tmp_path, validate=False).path
    functions = functions_named(path, "")
    convolutions = [node.name for function in functions for node in function.node_def if node.op == "Conv2D"]
    assert len(convolutions) == 1, convolutions
    decoders = [node.name for function in functions for node in function.node_def if node.op == "DecodeJpeg"]
    assert len(decoders) == 1, decoders


def test_grouped_convolutions_leave_without_xla(tmp_path: Path) -> None:
    """Keras wraps them in a function that XLA must compile; ours is published, validated, and has none."""
    model = grouped()
    traced = trace_forward(model, record_of(model)).call.get_concrete_function().graph.as_graph_def()
    assert any(function.attr["_XlaMustCompile"].b for function in traced.library.function), "the trap is still there"
    result = export_model(model, tmp_path)
    assert result.validation is not None
    assert result.validation.ok
    assert not any("_XlaMustCompile" in function.attr for function in functions_named(result.path, ""))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_has_float32_at_both_ends(tmp_path: Path, policy: str) -> None:
    """A model that computes in 16 bits takes and gives float32, and keeps float32 weights."""
    features = keras.Input((8,), name="features", dtype="float32")
    x = layers.Dense(8, dtype=keras.DTypePolicy(policy), name="low")(features)
    x = layers.Dense(3, activation="softmax", dtype=keras.DTypePolicy(policy), name="predictions")(x)
    model = with_record(keras.Model(features, x, name="mixed"), "classification", TensorPreprocessing())
    assert model.output.dtype != "float32"
    result = export_model(model, tmp_path, validate=False)
    contract = result.manifest.signatures["serving_default"]
    assert contract.inputs["features"].dtype == contract.outputs["probabilities"].dtype == "float32"
    rows = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    with LoadedVersion(result.path) as version:
        served = version.run("serving_default", {"features": rows})["probabilities"]
    np.testing.assert_allclose(served, model.predict(rows, verbose=0).astype(np.float32), atol=2e-2)
    assert result.manifest.tolerance["relative"] > 1e-2


def test_recurrent_layers_keep_their_setting() -> None:
    """Tracing without cuDNN does not change the model itself."""
    model = recurrent()
    before = model.get_layer("lstm").use_cudnn
    forward = trace_forward(model, record_of(model))
    assert model.get_layer("lstm").use_cudnn == before
    graph = forward.call.get_concrete_function().graph.as_graph_def()
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    ops = {node.op for nodes in bodies for node in nodes}
    assert ops & {"While", "StatelessWhile"}
    assert not any(op.startswith("Cudnn") for op in ops)


def test_made_up_input_names_become_stable() -> None:
    """Keras counts unnamed inputs through the process; the export calls them by what they are."""
    assert set(trace_forward(sequential(), record_of(sequential())).inputs) == {"features"}
    several = [keras.Input((2,)), keras.Input((2,))]
    model = with_record(keras.Model(several, layers.Add(name="sum")(several), name="two"), "regression",
                        TensorPreprocessing())
    assert set(trace_forward(model, record_of(model)).inputs) == {"input_0", "input_1"}


def test_a_model_without_inputs_is_refused() -> None:
    """A subclassed model declares no inputs, so there is nothing to sign."""

    class Subclassed(keras.Model):
        def call(self, inputs: Any) -> Any:
            return inputs

    with pytest.raises(ExportError, match="declares no inputs"):
        trace_forward(Subclassed(), record_of(tensor_classifier()))


def test_a_classifier_has_one_output() -> None:
    """Several outputs answer several tasks; the error says what to export instead."""
    record = record_of(tensor_classifier())
    with pytest.raises(ExportError, match=r"has one output\. Received: 2"):
        trace_forward(feature_extractor(), record)


def test_preprocessing_must_fit_the_model() -> None:
    """A record for another picture size, or for one input of several, is refused with both shapes."""
    model = image_classifier()
    record = record_of(model).replace(preprocessing=ImagePreprocessing(height=12, width=12))
    with pytest.raises(ExportError, match=r"shape \[12, 12, 3\], and the model's input 'image' has \[12, 10, 3\]"):
        check_fit(trace_forward(model, record), transform_for(record.preprocessing), record)
    pair = sequence_pair()
    with pytest.raises(ExportError, match="makes one tensor, and the model takes 2"):
        check_fit(trace_forward(pair, record_of(pair)), transform_for(record.preprocessing), record)


# === Tables of layers, adapters, token ids ===


def test_tables_of_layers_are_written(tmp_path: Path) -> None:
    """A layer that looks words up in a table of its own is exported with the table."""
    words = keras.Input((), dtype="string", name="word")
    ids = layers.StringLookup(vocabulary=["good", "bad"], name="lookup")(words)
    x = layers.Embedding(3, 2, name="embedding")(ids)
    model = with_record(keras.Model(words, x, name="lookup"), "features", StringPreprocessing(), "text")
    result = export_model(model, tmp_path, batch_sizes=(1,))
    with LoadedVersion(result.path) as version:
        served = version.run("serve_text", {"text": strings([b"bad", b"other", b"good"])})
    np.testing.assert_allclose(served["features"], model.get_layer("embedding").embeddings.numpy()[[2, 0, 1]])
    assert served["truncated"].tolist() == [False] * 3


def test_named_resources_go_before_what_is_found() -> None:
    """A layer may say itself what is to be tracked."""
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1]), -1)

    class Holder(layers.Layer):
        export_resources = (table,)

    found = layers.StringLookup(vocabulary=["a"])
    assert resources_of(Holder()) == [table]
    assert resources_of(found) == [found.lookup_table]
    assert resources_of(layers.Dense(1)) == []


def test_adapters_are_folded_into_what_is_written(tmp_path: Path) -> None:
    """A model with low-rank adapters leaves with plain kernels and the same answers, and keeps its adapters."""
    model = tensor_classifier()
    layer = model.get_layer("predictions")
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(np.ones((2, 4), np.float32))
    rows = np.float32([[1, 2, 3], [0, 0, 1]])
    expected = model(rows).numpy()
    result = export_model(model, tmp_path, validate=False)
    np.testing.assert_array_equal(model(rows).numpy(), expected)
    assert layer.lora_enabled
    checkpoint = tf.train.load_checkpoint(str(result.path / "variables" / "variables"))
    shapes = [shape for name, shape in checkpoint.get_variable_to_shape_map().items() if name.startswith("weights")]
    assert sorted(shapes) == [[3, 4], [4]]
    with LoadedVersion(result.path) as version:
        served = version.run("serving_default", {"features": rows})["probabilities"]
    np.testing.assert_allclose(served, expected, atol=1e-6)


def test_ids_outside_a_table_are_refused() -> None:
    """A negative id is not one from the end, and padding masks are 0 or 1; without tokens there is nothing to read."""
    model = bert("embedding")
    forward = trace_forward(model, record_of(model))
    good = {"token_ids": [[2, 3]], "segment_ids": [[0, 1]], "padding_mask": [[1, 0]]}
    assert forward.longest == 40
    assert set(forward.call(*good.values())) == {"embedding"}
    for name, value in (("token_ids", -1), ("token_ids", len(PIECES)), ("segment_ids", 2), ("padding_mask", 2)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"Input {name} takes whole numbers from 0"):
            forward.call(*(good | {name: [[0, value]]}).values())
    for count, words in ((0, "from 1 to 40 tokens per row"), (41, "from 1 to 40 tokens per row")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            forward.call(*([[1] * count] if count else np.zeros((1, 0), np.int32) for _ in good))


def test_a_preprocessing_may_not_give_more_than_is_read() -> None:
    """Longer texts than the model has positions for, or other inputs than its own, are refused at the export."""
    model = bert("embedding")
    forward = trace_forward(model, record_of(model))
    longer = record_of(model).replace(preprocessing=WordPiecePreprocessing(max_length=41, vocabulary=PIECES))
    with pytest.raises(ExportError, match=r"up to 41 tokens \(`max_length`\), and the model reads 40"):
        check_fit(forward, transform_for(longer.preprocessing), longer)
    pair = sequence_pair()
    other = record_of(model).replace(task="regression")
    with pytest.raises(ExportError, match="makes padding_mask, segment_ids, token_ids, and the model takes"):
        check_fit(trace_forward(pair, record_of(pair)), transform_for(other.preprocessing), other)
