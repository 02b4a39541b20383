"""Samples are the user's, or made ones that are the same every time and small on the disk."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from serving.errors import ExportError
from serving.export.golden import encode
from serving.export.samples import SAMPLES, make_samples
from serving.export.servable_module import Forward
from tests.serving.export.small_models import IRIS
from zoo.spec import ImagePreprocessing, ModelRecord, Preprocessing, TensorPreprocessing, TextPreprocessing


def record(preprocessing: Preprocessing) -> ModelRecord:
    return ModelRecord(name="m", input_kind="tabular", task="regression", preprocessing=preprocessing)


def forward(**specs: Any) -> Forward:
    return Forward(specs, {}, None, ())


IMAGE = record(ImagePreprocessing(height=224, width=160, scale=1 / 127.5, mean=(1.0, 1.0, 1.0)))
IMAGE_FORWARD = forward(image=tf.TensorSpec([None, 224, 160, 3], tf.float32))
TEXT = record(TextPreprocessing(max_length=4, vocabulary=("a", "b", "c")))
TEXT_FORWARD = forward(tokens=tf.TensorSpec([None, 4], tf.int32))


def test_made_pictures_are_jpeg_files_of_several_shapes() -> None:
    """They are decoded by others, larger than the input, of different aspect ratios, and the same every time."""
    pictures = make_samples(IMAGE_FORWARD, IMAGE).raw["image_bytes"]
    assert pictures.tolist() == make_samples(IMAGE_FORWARD, IMAGE).raw["image_bytes"].tolist()
    opened = [Image.open(io.BytesIO(picture)) for picture in pictures]
    assert {image.format for image in opened} == {"JPEG"}
    assert len({image.size for image in opened}) == SAMPLES
    assert all(image.width >= 160 and image.height >= 224 for image in opened)
    assert max(map(len, pictures)) < 30_000


def test_made_tensors_compress(tmp_path: Path) -> None:
    """A batch of pictures as numbers takes a few kilobytes of JSON, in the range that the preprocessing makes."""
    tensor = make_samples(IMAGE_FORWARD, IMAGE).tensors["image"]
    assert tensor.shape == (SAMPLES, 224, 160, 3)
    assert (tensor.min(), tensor.max()) == (-1.0, 1.0)
    assert len(json.dumps(encode(tensor))) < 20_000


def test_made_texts_are_short_long_and_too_long() -> None:
    """Words of the vocabulary, one text longer than the model reads; ids stay inside the vocabulary."""
    samples = make_samples(TEXT_FORWARD, TEXT)
    lengths = [len(text.split()) for text in samples.raw["text"]]
    assert min(lengths) <= 2
    assert max(lengths) == 6
    assert samples.tensors["tokens"].dtype == np.int32
    assert samples.tensors["tokens"].max() < 5


def test_made_rows_fit_the_columns() -> None:
    """Numbers near the mean, categories that exist."""
    raw = make_samples(forward(features=tf.TensorSpec([None, 4], tf.float32)), record(IRIS)).raw
    assert raw["age"].dtype == np.float32
    assert set(raw["Farbe/é"]) == {b"red", b"green"}
    np.testing.assert_allclose(raw["sepal length (cm)"], [4.0, 5.0, 6.0])


def test_open_axes_get_a_size() -> None:
    """A sequence of any length is tried with a short one."""
    samples = make_samples(forward(source=tf.TensorSpec([None, None, 2], tf.float32)), record(TensorPreprocessing()))
    assert samples.tensors["source"].shape == (SAMPLES, 8, 2)
    assert samples.raw == {}


def test_the_users_samples_are_taken(tmp_path: Path) -> None:
    """Pictures as paths or bytes, texts as words."""
    (tmp_path / "p.jpg").write_bytes(b"\xff\xd8")
    raw = make_samples(IMAGE_FORWARD, IMAGE, [tmp_path / "p.jpg", str(tmp_path / "p.jpg"), b"bytes"]).raw
    assert raw["image_bytes"].tolist() == [b"\xff\xd8", b"\xff\xd8", b"bytes"]
    assert make_samples(TEXT_FORWARD, TEXT, ["ä"]).raw["text"].tolist() == ["ä".encode()]


@pytest.mark.parametrize(("made_for", "given", "words"), [
    ("image", [], "a sequence of at least one picture"),
    ("image", "photo.jpg", "a sequence of at least one picture"),
    ("image", ["/no/such/photo.jpg"], "cannot be read"),
    ("text", {"text": "a"}, "Received: dict"),
    ("table", [{"age": 1}], "no column 'sepal length"),
    ("table", [[1, 2]], "no column"),
])
def test_wrong_samples_say_what_is_expected(made_for: str, given: Any, words: str) -> None:
    """Each kind of mistake is one clear error."""
    table = (forward(features=tf.TensorSpec([None, 4], tf.float32)), record(IRIS))
    arguments = {"image": (IMAGE_FORWARD, IMAGE), "text": (TEXT_FORWARD, TEXT), "table": table}[made_for]
    with pytest.raises(ExportError, match=words):
        make_samples(*arguments, given)
