"""Every model of the catalog is built, trained for a step, saved, reloaded, exported, validated and served.

Pictures are reduced to `SMALLEST` pixels a side and classes to three, so that two cores are enough; the networks keep
their depth and width. The largest of each family are marked slow: `make test-all` runs them too.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import zoo
from serving.client import PredictClient
from serving.export import export_model
from serving.server.app import running_server
from serving.server.settings import ServerSettings
from zoo.preprocessing.image import ImageTransform
from zoo.spec import ImagePreprocessing, ModelSpec, TextPreprocessing

LABELS = ("cat", "dog", "owl")
SMALLEST = 32
LARGER = {"inception_v3": 80, "xception": 80}  # they shrink pictures more
OWN_SIZE = {"mnist_cnn": 28, "cifar_cnn": 32, "imagenet_cnn": 64}
FAST = {
    "linear_regression", "mlp_binary", "softmax_1000", "mnist_cnn", "cifar_cnn", "imagenet_cnn", "transformer", "rnn",
    "rnn_regression", "rnn_text", "resnet50", "resnet50_v2", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0",
    "efficientnet_v2_b0", "densenet121", "xception",
}
SERIES: dict[str, dict[str, Any]] = {"rnn": {"input_shape": (6, 3)}, "rnn_regression": {"input_shape": (6, 3)},
                                     "transformer": {"steps": 4}}
WORDS = TextPreprocessing(max_length=5, vocabulary=("good", "bad", "film"))
METHODS = {"classification": "classify", "binary_classification": "classify", "regression": "regress"}


def cases() -> list[Any]:
    return [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in zoo.list()
            if name != "hub"]  # nothing without a module; tests/zoo/test_hub.py


def arguments(spec: ModelSpec) -> dict[str, Any]:
    """How the model is built here."""
    chosen: dict[str, Any] = {"seed": 1, **SERIES.get(spec.name, {})}
    if spec.task == "classification":
        chosen["labels"] = LABELS
    elif spec.task == "binary_classification":
        chosen["labels"] = LABELS[:2]
    if spec.input_kind == "image":
        side = OWN_SIZE.get(spec.name, LARGER.get(spec.name, SMALLEST))
        chosen["input_shape"] = (side, side, spec.inputs[0].shape[-1])
    if spec.input_kind == "text":
        chosen["preprocessing"] = WORDS
    return chosen


def random_inputs(model: keras.Model, rows: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    inputs = {}
    for tensor in model.inputs:
        shape = (rows, *tensor.shape[1:])
        if "int" in tensor.dtype:
            inputs[tensor.name] = generator.integers(0, 5, shape).astype(tensor.dtype)
        else:
            inputs[tensor.name] = generator.normal(size=shape).astype("float32")
    preprocessing = zoo.record_of(model).preprocessing
    if isinstance(preprocessing, ImagePreprocessing):  # pixels as the network knows them, not some numbers
        name = model.inputs[0].name
        pixels = generator.uniform(0.0, 255.0, inputs[name].shape).astype("float32")
        inputs[name] = np.stack([np.asarray(ImageTransform(preprocessing).from_pixels(row)) for row in pixels])
    return inputs


def outputs_of(model: keras.Model, inputs: dict[str, np.ndarray]) -> np.ndarray:
    values = model(inputs if len(inputs) > 1 else next(iter(inputs.values())), training=False)
    return np.asarray(keras.ops.convert_to_numpy(values), np.float32)


def train_a_step(model: keras.Model, spec: ModelSpec) -> None:
    """One step of plain gradient descent, which changes parameters and keeps them finite."""
    inputs = random_inputs(model, 4)
    shape = (4,) if spec.task == "classification" else (4, *model.output_shape[1:])
    shape = tuple(4 if size is None else size for size in shape)
    targets = np.ones(shape, "int32" if spec.task == "classification" else "float32")
    before = [variable.value.numpy().copy() for variable in model.trainable_variables[-2:]]
    # At this size the last statistics of a deep network are of single pixels, and an unclipped step explodes.
    optimizer = keras.optimizers.SGD(1e-3, global_clipnorm=1.0)
    model.compile(optimizer=optimizer, loss=spec.training.loss, jit_compile=False, run_eagerly=True)
    loss = model.train_on_batch(inputs if len(inputs) > 1 else next(iter(inputs.values())), targets)
    assert np.isfinite(np.asarray(loss)).all()
    changed = [not np.array_equal(old, variable.value.numpy())
               for old, variable in zip(before, model.trainable_variables[-2:], strict=True)]
    assert any(changed), "the last layer learnt nothing"


def raw_request(spec: ModelSpec) -> tuple[str, dict[str, list[Any]]] | None:
    """What a user sends who has pictures or texts, not tensors."""
    if spec.input_kind == "image":
        content = io.BytesIO()
        pixels = np.random.default_rng(2).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(content, "JPEG")
        return "serve_bytes", {"image_bytes": [content.getvalue()] * 2}
    if spec.input_kind == "text":
        return "serve_text", {"text": ["a good film", "bad"]}
    return None


@pytest.mark.parametrize("name", cases())
def test_from_name_to_answer(name: str, tmp_path: Path) -> None:
    """The answer over gRPC and REST is what Keras says after building, training, saving and reloading."""
    spec = zoo.info(name)
    model = zoo.build(name, **arguments(spec))
    train_a_step(model, spec)
    loaded = zoo.load(zoo.save(model, tmp_path / "saved"))
    inputs = random_inputs(loaded, 2)
    expected = outputs_of(loaded, inputs)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(expected, outputs_of(model, inputs), rtol=1e-4, atol=1e-5)
    result = export_model(loaded, tmp_path / "models", name="m", batch_sizes=(1, 2))
    assert result.validation is not None
    assert not result.validation.findings
    assert METHODS[spec.task] in result.manifest.signatures or METHODS[spec.task] in result.manifest.left_out
    settings = ServerSettings(root=tmp_path / "models", grpc_port=0, rest_port=0)
    with running_server(settings, settle_seconds=300.0) as server:
        for address in (f"grpc://127.0.0.1:{server.grpc_port}", f"http://127.0.0.1:{server.rest_port}"):
            with PredictClient(address, timeout_seconds=120.0) as client:
                answer = client.predict("m", inputs)
                np.testing.assert_allclose(next(iter(answer.values())), expected, rtol=1e-3, atol=1e-4)
                check_raw_answer(client, spec)


def check_raw_answer(client: PredictClient, spec: ModelSpec) -> None:
    request = raw_request(spec)
    if request is None:
        return
    signature, inputs = request
    answer = client.predict("m", inputs, signature_name=signature)
    assert set(answer["labels"].ravel().tolist()) == {label.encode() for label in LABELS}
    scores = answer["scores"]
    assert (np.diff(scores, axis=1) <= 0).all(), "best first"
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-3)


def test_the_fast_list_names_real_models_of_every_family_but_the_heavy() -> None:
    """A renamed model cannot drop out of the quick run unseen."""
    assert set(zoo.list()) >= FAST
    families = {zoo.info(name).family for name in zoo.list()}
    assert families - {zoo.info(name).family for name in FAST} == {"convnext", "vgg", "vit"}
