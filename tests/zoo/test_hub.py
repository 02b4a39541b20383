from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from serving.export import export_model
from tests.zoo import hub_modules
from tests.zoo.weights.file_server import FileServer
from zoo.data import load_texts
from zoo.errors import ArgumentError, BundleError, ChecksumError
from zoo.preprocessing.image import ImageTransform
from zoo.spec import ImagePreprocessing, StringPreprocessing
from zoo.training import TrainingConfig, fit

TEXTS = ["good film", "bad", "", "never seen"]


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modules")
    hub_modules.save_text(folder / "text")
    hub_modules.save_image(folder / "image")
    hub_modules.save_image(folder / "image_12", side=12)
    hub_modules.save_pair(folder / "pair")
    hub_modules.save_preprocessor(folder / "preprocessor")
    return folder


def test_a_text_module_from_training_to_serving(modules: Path, tmp_path: Path) -> None:
    """Texts from a table train it, a saved model is equal, and the export answers strings with labels."""
    rows = [f"{word} film number {number}\t{word}" for number in range(40) for word in ("good", "bad")]
    (tmp_path / "reviews.tsv").write_text("text\tlabel\n" + "\n".join(rows) + "\n")
    data = load_texts(tmp_path / "reviews.tsv", StringPreprocessing(), task="classification")
    model = zoo.build("hub", weights=str(modules / "text"), labels=data.labels, seed=1, trainable=True)
    assert [layer.name for layer in model.layers] == ["text", "module", "predictions"]
    report = fit(model, data, TrainingConfig(epochs=3, learning_rate=0.05), tmp_path / "run")
    assert report.history[-1]["val_accuracy"] == 1.0

    zoo.save(model, tmp_path / "saved")
    texts = tf.constant(TEXTS)
    np.testing.assert_array_equal(zoo.load(tmp_path / "saved")(texts), model(texts))

    result = export_model(model, tmp_path / "models", name="reviews", batch_sizes=(1, 4))
    assert set(result.manifest.signatures) == {"serving_default", "serve_text", "classify"}
    assert [path.read_text().split() for path in (result.path / "assets").iterdir()] == [list(hub_modules.WORDS)]
    loaded = tf.saved_model.load(str(result.path))
    answers = loaded.signatures["serve_text"](text=texts)
    best = np.asarray(model(texts)).argmax(-1)
    assert [label[0].decode() for label in answers["labels"].numpy()] == [data.labels[index] for index in best]
    np.testing.assert_allclose(answers["scores"].numpy()[:, 0], np.asarray(model(texts)).max(-1), atol=1e-6)


def test_an_image_module_gets_pixels_from_0_to_1(modules: Path, tmp_path: Path) -> None:
    """The size comes from the module, the pixels are scaled as TF Hub promises, and JPEG bytes are answered."""
    model = zoo.build("hub", weights=str(modules / "image_12"), num_classes=3)
    record = zoo.record_of(model)
    assert (record.input_kind, model.input_shape) == ("image", (None, 12, 12, 3))
    assert isinstance(record.preprocessing, ImagePreprocessing)
    white = ImageTransform(record.preprocessing).from_pixels(np.full((30, 20, 3), 255, np.uint8))
    assert white.shape == (12, 12, 3) and np.allclose(white, 1.0)
    result = export_model(model, tmp_path, name="pictures", warmup=False, validate=False)
    picture = tf.io.encode_jpeg(np.full((30, 20, 3), 255, np.uint8)).numpy()
    answer = tf.saved_model.load(str(result.path)).signatures["serve_bytes"](image_bytes=tf.constant([picture]))
    expected = np.sort(np.asarray(model(white[tf.newaxis])))[0, ::-1]
    np.testing.assert_allclose(answer["scores"][0], expected, atol=1e-3)


def test_a_module_for_any_size_takes_the_user_s(modules: Path) -> None:
    """224 pixels without a word, another size by `input_shape` or by a preprocessing; a fixed size stays."""
    def shape(**options: object) -> tuple[int, ...]:
        return zoo.build("hub", weights=str(modules / "image"), **options).input_shape[1:]  # type: ignore[no-any-return]

    assert shape() == (224, 224, 3)
    assert shape(input_shape=(20, 30, 3)) == (20, 30, 3)
    assert shape(preprocessing=ImagePreprocessing(height=20, width=30, scale=1 / 255)) == (20, 30, 3)
    with pytest.raises(ArgumentError, match=r"pictures of 12 x 12 x 3\. Received: input_shape=\(20, 20, 3\)"):
        zoo.build("hub", weights=str(modules / "image_12"), input_shape=(20, 20, 3))


def test_an_old_module_tells_its_size(tmp_path: Path) -> None:
    """In the format of TensorFlow 1 the size of pictures stands in a message beside the graph."""
    folder = hub_modules.save_tf1(tmp_path / "old", resources=True)
    assert zoo.build("hub", weights=str(folder), signature="default").input_shape == (None, 224, 160, 3)
    with pytest.raises(ArgumentError, match=r"signature=\.\.\.: default"):
        zoo.build("hub", weights=str(folder))


def test_a_preprocessor_in_front_of_an_encoder(modules: Path, tmp_path: Path) -> None:
    """The pair of modules that TF Hub has for texts: strings in, the encoder's pooled output under the head."""
    model = zoo.build("hub", weights=str(modules / "pair"), preprocessor=str(modules / "preprocessor"), num_classes=2)
    assert [layer.name for layer in model.layers] == ["text", "preprocessor", "module", "predictions"]
    assert model(tf.constant(TEXTS)).shape == (4, 2)
    zoo.save(model, tmp_path)
    np.testing.assert_array_equal(zoo.load(tmp_path)(tf.constant(TEXTS)), model(tf.constant(TEXTS)))
    with pytest.raises(ArgumentError, match=r"takes input_\w+, input_\w+, .*preprocessor=\"tfhub"):
        zoo.build("hub", weights=str(modules / "pair"))


@pytest.mark.parametrize(("options", "task", "width"), [
    ({"task": "embedding"}, "embedding", 8), ({"task": "regression"}, "regression", 1),
    ({"include_top": False}, "features", 8), ({"num_classes": 5, "dropout": 0.5}, "classification", 5)])
def test_every_task(modules: Path, options: dict[str, object], task: str, width: int) -> None:
    """The head follows the task; without one the module's own vector comes out."""
    model = zoo.build("hub", weights=str(modules / "text"), **options)
    assert (zoo.record_of(model).task, model.output_shape) == (task, (None, width))
    if width == 8:
        module = tf.saved_model.load(str(modules / "text"))
        np.testing.assert_array_equal(model(tf.constant(TEXTS)), module(tf.constant(TEXTS)))


def test_a_head_needs_one_vector(modules: Path) -> None:
    """Of several outputs the usual names are taken, another by `output_key`; what is no vector is refused."""
    pair = {"weights": str(modules / "pair"), "preprocessor": str(modules / "preprocessor")}
    with pytest.raises(ArgumentError, match=r"a head takes one vector per example \[N, D\]"):
        zoo.build("hub", **pair, output_key="sequence_output")
    with pytest.raises(ArgumentError, match=r"several outputs\. Choose one with output_key"):
        zoo.build("hub", **pair, output_key="none")


def test_the_record_knows_the_module(modules: Path) -> None:
    """Provenance names the module and its content, and no folder of this machine."""
    record = zoo.record_of(zoo.build("hub", weights=str(modules / "text")))
    assert record.weights == {"source": "file:text", "format": "saved_model", "sha256": record.arguments["sha256"]}
    assert len(record.arguments["sha256"]) == 64


def test_a_saved_model_keeps_to_its_module(tmp_path: Path) -> None:
    """With another module under the same name, or none, the saved model is not loaded."""
    folder = hub_modules.save_text(tmp_path / "text")
    zoo.save(zoo.build("hub", weights=str(folder)), tmp_path / "saved")
    vocabulary = next((folder / "assets").iterdir())
    vocabulary.write_text("bad\ngood\nfilm\n")
    with pytest.raises(ChecksumError, match="leads to another module than the one"):
        zoo.load(tmp_path / "saved")
    shutil.rmtree(folder)
    with pytest.raises((zoo.WeightsError, BundleError), match="neither an existing path"):
        zoo.load(tmp_path / "saved")


def test_a_handle_over_the_network(modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tfhub:` is fetched once; the saved model finds it in the cache again without the network."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    archive = hub_modules.packed(modules / "text", tmp_path / "text.tar.gz").read_bytes()
    with FileServer(files={"/google/text/1": archive}) as server:
        monkeypatch.setenv("ZOO_TFHUB_ENDPOINT", server.url(""))
        model = zoo.build("hub", weights="tfhub:google/text/1")
        assert len(server.requests) == 1
    assert zoo.record_of(model).weights["source"] == "tfhub:google/text/1"
    zoo.save(model, tmp_path / "saved")
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    np.testing.assert_array_equal(zoo.load(tmp_path / "saved")(tf.constant(TEXTS)), model(tf.constant(TEXTS)))


def test_without_a_module_it_says_what_is_missing() -> None:
    """The model is nothing by itself."""
    with pytest.raises(ArgumentError, match=r"built around a module\. Name it: weights=\"tfhub:"):
        zoo.build("hub")


def test_the_catalog_s_entry_fits_the_default_module(modules: Path) -> None:
    """Input, output and preprocessing in the catalog are those of a module for pictures of any size."""
    spec = zoo.info("hub")
    model = zoo.build("hub", weights=str(modules / "image"))
    assert [(tensor.name, tensor.shape[1:]) for tensor in model.inputs] == [(info.name, info.shape)
                                                                            for info in spec.inputs]
    assert model.output_shape[1:] == spec.outputs[0].shape
    assert zoo.record_of(model).preprocessing == spec.preprocessing
    assert dataclasses.asdict(spec)["tunable"].keys() == {"dropout", "trainable"}
    assert isinstance(model, keras.Model)
