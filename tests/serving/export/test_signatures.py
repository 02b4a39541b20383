"""Every signature gives, under its pinned names, what the Keras model gives after the training preprocessing."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from serving.errors import ExportError
from serving.export import export_model
from serving.export.answers import Answers
from serving.export.replay import LoadedVersion
from serving.export.samples import strings
from serving.export.servable_module import trace_forward
from serving.export.signatures import make_signatures
from serving.manifest import TensorContract, read_manifest
from tests.serving.export.small_models import (
    DIGITS,
    feature_extractor,
    image_classifier,
    sequence_pair,
    table_regressor,
    tensor_classifier,
    text_classifier,
)
from zoo.preprocessing.transform import transform_for
from zoo.spec import record_of

STRINGS, FLOATS = TensorContract(dtype="string", shape=(None,)), TensorContract(dtype="float32", shape=(None,))


def ranked(k: int) -> dict[str, TensorContract]:
    kinds = {"labels": "string", "scores": "float32", "indices": "int32"}
    return {name: TensorContract(dtype=dtype, shape=(None, k)) for name, dtype in kinds.items()}


def examples(**columns: list[Any]) -> np.ndarray:
    def feature(value: Any) -> Any:
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        return tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(value)))

    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return strings([tf.train.Example(features=tf.train.Features(feature={
        name: feature(value) for name, value in row.items()})).SerializeToString() for row in rows])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, LoadedVersion]]:
    model = image_classifier()
    path = export_model(model, tmp_path_factory.mktemp("models"), validate=False, top_k=9).path
    with LoadedVersion(path) as version:
        yield model, version


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, LoadedVersion]]:
    model = text_classifier()
    with LoadedVersion(export_model(model, tmp_path_factory.mktemp("models"), validate=False).path) as version:
        yield model, version


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, LoadedVersion, Path]]:
    model = table_regressor()
    path = export_model(model, tmp_path_factory.mktemp("models"), validate=False).path
    with LoadedVersion(path) as version:
        yield model, version, path


def encoded(mode: str, form: str, size: tuple[int, int] = (23, 17), orientation: int | None = None,
            **options: Any) -> bytes:
    """A picture file with a different value in every pixel."""
    generator = np.random.default_rng(size[0])
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = generator.integers(0, 256, (size[1], size[0], bands), np.uint8)
    image = Image.fromarray(pixels[..., 0] if bands == 1 else pixels, mode=None if mode != "CMYK" else "CMYK")
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, form, exif=exif.tobytes(), **options)
    return file.getvalue()


PICTURES = {
    "grey JPEG": lambda: encoded("L", "JPEG"),
    "grey PNG": lambda: encoded("L", "PNG"),
    "colour with alpha": lambda: encoded("RGBA", "PNG"),
    "grey with alpha": lambda: encoded("LA", "PNG"),
    "CMYK JPEG": lambda: encoded("CMYK", "JPEG"),
    "EXIF turned": lambda: encoded("RGB", "JPEG", orientation=6),
    "EXIF mirrored": lambda: encoded("RGB", "JPEG", orientation=5),
    "one pixel": lambda: encoded("RGB", "PNG", (1, 1)),
    "one row": lambda: encoded("RGB", "JPEG", (31, 1)),
    "progressive": lambda: encoded("RGB", "JPEG", progressive=True),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_alike_in_training_and_serving(pictures: tuple[Any, LoadedVersion], name: str) -> None:
    """tf.data pixels are those in the export, and Keras model == serving_default == serve_bytes == classify."""
    model, version = pictures
    picture = PICTURES[name]()
    transform = transform_for(record_of(model).preprocessing)
    dataset = tf.data.Dataset.from_tensors(picture).map(transform.from_bytes).batch(1)
    pixels = next(dataset.as_numpy_iterator())
    keras_answer = model(pixels, training=False)
    default = version.run("serving_default", {"image": pixels})["probabilities"]
    by_bytes = version.run("serve_bytes", {"image_bytes": strings([picture])})
    by_example = version.run("classify", {"inputs": examples(**{"image/encoded": [picture]})})
    np.testing.assert_allclose(default, keras_answer, rtol=1e-5, atol=1e-7)
    order = np.argsort(-default[0], kind="stable")
    np.testing.assert_array_equal(by_bytes["indices"][0], order)
    np.testing.assert_array_equal(by_bytes["scores"][0], default[0][order])
    assert by_bytes["labels"][0].tolist() == [DIGITS[index].encode() for index in order]
    np.testing.assert_array_equal(by_example["scores"], by_bytes["scores"])
    np.testing.assert_array_equal(by_example["classes"], by_bytes["labels"])


def test_pictures_of_all_kinds_share_a_batch(pictures: tuple[Any, LoadedVersion]) -> None:
    """Formats and sizes may be mixed; a row's answer is that of the picture alone."""
    _, version = pictures
    files = strings([make() for make in PICTURES.values()])
    together = version.run("serve_bytes", {"image_bytes": files})
    for row in range(len(files)):
        alone = version.run("serve_bytes", {"image_bytes": files[row:row + 1]})
        np.testing.assert_allclose(alone["scores"][0], together["scores"][row], rtol=1e-5, atol=1e-7)


def test_image_signatures_have_pinned_names(pictures: tuple[Any, LoadedVersion], tmp_path: Path) -> None:
    """Names, dtypes and shapes are the documented ones; more labels than classes are not promised."""
    model, _ = pictures
    forward = trace_forward(model, record_of(model))
    signatures, left_out = make_signatures(Answers.of(forward, record_of(model), 9),
                                           transform_for(record_of(model).preprocessing))
    contracts = {name: signature.contract for name, signature in signatures.items()}
    assert left_out == {}
    assert contracts["serving_default"].inputs == {"image": TensorContract(dtype="float32", shape=(None, 12, 10, 3))}
    assert contracts["serving_default"].outputs == {"probabilities": TensorContract(dtype="float32", shape=(None, 5))}
    assert contracts["serve_bytes"].inputs == {"image_bytes": STRINGS}
    assert contracts["serve_bytes"].outputs == ranked(5)
    assert contracts["classify"].inputs == {"inputs": STRINGS}
    assert set(contracts["classify"].outputs) == {"classes", "scores"}
    assert {name: contract.method for name, contract in contracts.items()} == {
        "serving_default": "predict", "serve_bytes": "predict", "classify": "classify"}


@pytest.mark.parametrize("kind", ["pictures", "texts", "table"])
def test_no_rows_in_no_rows_out(kind: str, request: pytest.FixtureRequest) -> None:
    """An empty batch answers with empty tensors of the same kinds, for every signature."""
    version = request.getfixturevalue(kind)[1]
    inputs: dict[str, dict[str, Any]] = {
        "pictures": {"serving_default": {"image": np.zeros((0, 12, 10, 3), np.float32)},
                     "serve_bytes": {"image_bytes": strings([])}, "classify": {"inputs": strings([])}},
        "texts": {"serving_default": {"tokens": np.zeros((0, 6), np.int32)},
                  "serve_text": {"text": strings([])}, "classify": {"inputs": strings([])}},
        "table": {"serving_default": {"features": np.zeros((0, 4), np.float32)}, "regress": {"inputs": strings([])},
                  "serve_columns": {"sepal length (cm)": np.zeros(0, np.float32), "Farbe/é": strings([]),
                                    "age": np.zeros(0, np.float32)}},
    }[kind]
    for signature, tensors in inputs.items():
        answers = version.run(signature, tensors)
        assert answers
        assert all(len(answer) == 0 and answer.ndim >= 1 for answer in answers.values()), signature


def test_texts_are_alike_in_training_and_serving(texts: tuple[Any, LoadedVersion]) -> None:
    """Word ids and answers are those of the training path; the threshold 0.3 decides which label is first."""
    model, version = texts
    sentences = ["the film was good", "BAD", "", "naïve good good bad bad film film film", "unknown words"]
    transform: Any = transform_for(record_of(model).preprocessing)
    tokens = next(tf.data.Dataset.from_tensor_slices(sentences).batch(5).map(transform.batch).as_numpy_iterator())
    positive = model.predict(tokens, verbose=0)
    raw = strings([sentence.encode() for sentence in sentences])
    answer = version.run("serve_text", {"text": raw})
    np.testing.assert_allclose(version.run("serving_default", {"tokens": tokens})["probabilities"], positive, atol=1e-6)
    np.testing.assert_array_equal(answer["indices"][:, 0], (positive[:, 0] >= 0.3).astype(int))
    by_class = np.take_along_axis(answer["scores"], np.argsort(answer["indices"], axis=1), axis=1)
    np.testing.assert_allclose(by_class[:, 1:], positive, atol=1e-6)
    names = np.array([b"negative", b"positive"], object)
    assert answer["labels"].tolist() == names[answer["indices"]].tolist()
    by_example = version.run("classify", {"inputs": examples(text=raw.tolist())})
    np.testing.assert_array_equal(by_example["classes"], answer["labels"])
    np.testing.assert_array_equal(by_example["scores"], answer["scores"])


ROWS = {"sepal length (cm)": [5.0, 7.5, float("nan")], "Farbe/é": [b"red", b"green", b"blue"], "age": [1.0, -3.0, 2.0]}


def test_columns_are_alike_in_training_and_serving(table: tuple[Any, LoadedVersion, Path]) -> None:
    """Columns with blanks and accents in their names go in by name; Keras == columns == regress."""
    model, version, _ = table
    columns = {name: strings(values) if name == "Farbe/é" else np.float32(values) for name, values in ROWS.items()}
    transform: Any = transform_for(record_of(model).preprocessing)
    features = next(tf.data.Dataset.from_tensors(columns).map(transform.batch).as_numpy_iterator())
    expected = model.predict(features, verbose=0)
    np.testing.assert_allclose(version.run("serve_columns", columns)["values"], expected, rtol=1e-5)
    np.testing.assert_allclose(version.run("serving_default", {"features": features})["values"], expected, rtol=1e-5)
    np.testing.assert_allclose(version.run("regress", {"inputs": examples(**ROWS)})["outputs"], expected, rtol=1e-5)


def test_awkward_column_names_reach_both_loaders(table: tuple[Any, LoadedVersion, Path]) -> None:
    """The names stand in the SignatureDef and in the object graph, in the order of the record."""
    _, version, path = table
    loaded = tf.saved_model.load(str(path))
    columns = {name: tf.constant(values) for name, values in ROWS.items()}
    eager = loaded.signatures["serve_columns"](**columns)["values"]
    served = version.run("serve_columns", {name: column.numpy() for name, column in columns.items()})
    np.testing.assert_allclose(eager, served["values"], rtol=1e-6)
    assert set(read_manifest(path).signatures["serve_columns"].inputs) == set(ROWS)


def test_a_missing_column_is_named(table: tuple[Any, LoadedVersion, Path]) -> None:
    """An example without a column fails with its name instead of a made-up value."""
    _, version, _ = table
    with pytest.raises(tf.errors.InvalidArgumentError, match="age"):
        version.run("regress", {"inputs": examples(**{name: ROWS[name] for name in ("sepal length (cm)", "Farbe/é")})})


def test_tensor_models_are_classified_by_their_input_name() -> None:
    """Without preprocessing a tf.Example holds the input as a float list, and classes are called by number."""
    model = tensor_classifier()
    record = record_of(model)
    answers = Answers.of(trace_forward(model, record), record, 2)
    signatures, _ = make_signatures(answers, transform_for(record.preprocessing))
    assert set(signatures) == {"serving_default", "classify"}
    rows = [[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]]
    answer = signatures["classify"].function(tf.constant(examples(features=rows)))
    expected = model.predict(np.float32(rows), verbose=0)
    assert answer["classes"].numpy()[:, 0].tolist() == [str(index).encode() for index in expected.argmax(axis=1)]
    np.testing.assert_allclose(answer["scores"][:, 0], expected.max(axis=1), rtol=1e-6)


def test_sequences_leave_regress_out_with_a_reason() -> None:
    """A model with open axes has its tensor signature, and the manifest says why it has no other."""
    model = sequence_pair()
    record = record_of(model)
    signatures, left_out = make_signatures(Answers.of(trace_forward(model, record), record, 5),
                                           transform_for(record.preprocessing))
    assert set(signatures["serving_default"].contract.inputs) == {"source", "target"}
    assert set(signatures) == {"serving_default"}
    assert "axis of any size" in left_out["regress"]


def test_feature_extractors_name_each_output() -> None:
    """A dict of outputs keeps its names; there is nothing to classify."""
    model = feature_extractor()
    record = record_of(model)
    signatures, left_out = make_signatures(Answers.of(trace_forward(model, record), record, 5),
                                           transform_for(record.preprocessing))
    assert {name: set(signature.contract.outputs) for name, signature in signatures.items()} == {
        "serving_default": {"low", "high"}, "serve_bytes": {"low", "high"}}
    assert left_out == {}


def test_a_binary_model_gives_one_probability() -> None:
    """A record that says binary for a model with four outputs is refused."""
    model = tensor_classifier()
    record = record_of(model).replace(task="binary_classification")
    with pytest.raises(ExportError, match=r"probabilities \[N, 1\]. Received an output of shape \[None, 4\]"):
        Answers.of(trace_forward(model, record), record, 5)
