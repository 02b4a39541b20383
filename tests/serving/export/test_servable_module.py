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
from serving.export.servable_module import ServableModule, trace_forward
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
from zoo.spec import ImagePreprocessing, TensorPreprocessing, record_of

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
